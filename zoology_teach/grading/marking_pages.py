"""The two pages on which open answers are marked: all questions, and one answer.

All that comes from a submission, or from whoever marks, is escaped text in its own direction of
writing. The pages run one script, which is ours, and the header `policy` names it by its digest.
"""

from markupsafe import Markup

from zoology_teach.grading.comments import often
from zoology_teach.grading.manual import OPEN_POINTS
from zoology_teach.grading.marking import Marking, address
from zoology_teach.grading.marks import MOST_OF_A_COMMENT, NO_MARK
from zoology_teach.grading.records import Graded, visible
from zoology_teach.grading.rendering import policy, render, style

SHOWN = 20_000  # characters of an answer; the rest is a page of its own
OFFERED = 9  # earlier comments, a digit for each
KEPT = "\n\t\u200c\u200d"  # lines, and the joiners of Persian, Hindi and emoji
HIDDEN = "?names=hidden"


def header() -> str:
    """The Content-Security-Policy of both pages."""
    return f"{policy(style('marking.css'), style('marking.js'))}; frame-ancestors 'none'"


def overview(marking: Marking, base: str, *, hidden: bool) -> str:
    """All questions, how many of their answers are marked, and a link to each answer."""
    given = marking.marks()
    rows = []
    for question in marking.questions.values():
        order = marking.order(question.id, hidden=hidden)
        answers = [
            {
                "who": _who(g, number, hidden),
                "link": f"{base}/{question.id}/{address(question.id, g)}",
                "points": given.get((g.key, question.id), NO_MARK).points,
                "is_there": question.id in g.answers,
            }
            for number, g in enumerate(order, 1)
        ]
        marked = sum(bool(answer["points"]) for answer in answers)
        rows.append((question, answers, marked))
    return _page("marking.html", base=base, hidden=hidden, rows=rows)


def answer(marking: Marking, base: str, question_id: str, student: Graded, *, hidden: bool) -> str:
    """One answer with the question, the rubric and the best one so far beside it."""
    given, question = marking.marks(), marking.questions[question_id]
    order = marking.order(question_id, hidden=hidden)
    place = order.index(student)
    here, name = f"{base}/{question_id}", (student.key, question_id)
    text = student.answers.get(question_id, "")
    best_points, best = marking.best(question_id, student, given)
    comments = {name: mark.comment for name, mark in given.items() if mark.comment}
    return _page(
        "mark.html",
        base=base,
        hidden=hidden,
        question=question,
        who=_who(student, place + 1, hidden),
        student=student,
        place=place + 1,
        of=len(order),
        marked=sum(bool(given.get((g.key, question_id), NO_MARK).points) for g in order),
        answer_text=shown(text[:SHOWN]),
        more=len(text[SHOWN:]),
        best=shown(best[:SHOWN]),
        best_points=best_points,
        mark=given.get(name, NO_MARK),
        is_outdated=name in marking.outdated(),
        offered=often(comments, question_id, OFFERED),
        here=f"{here}/{address(question_id, student)}",
        previous=f"{here}/{address(question_id, order[place - 1])}",
        next=f"{here}/{address(question_id, order[(place + 1) % len(order)])}",
        most=OPEN_POINTS,
        longest=MOST_OF_A_COMMENT,
    )


def shown(text: str) -> str:
    """Text in which nothing acts on the text around it, or on a terminal."""
    return visible(text, keep=KEPT)


def _who(student: Graded, number: int, hidden: bool) -> str:
    return f"Answer {number}" if hidden else student.student


def _page(template: str, *, hidden: bool, **values: object) -> str:
    css, script = Markup(style("marking.css")), Markup(style("marking.js"))
    asked = HIDDEN if hidden else ""
    return render(template, style=css, script=script, hidden=hidden, asked=asked, **values)
