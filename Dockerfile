# The book for a class: PyTorch's CPU build, JupyterLab, bubblewrap.
#
#   docker build -t zoology-teach .
#   docker run --rm -p 8888:8888 zoology-teach                  # prints an address with a token
#   docker run --rm zoology-teach zoology-teach doctor          # what works in there
#
# Reading needs no privileges. The grader's sandbox makes user namespaces, which Docker forbids by
# default; the doctor says so. To grade in the container, allow them for that run alone:
#
#   docker run --rm --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
#       --security-opt systempaths=unconfined -v "$PWD/class:/class" zoology-teach \
#       zoology-teach grade /class/submissions -o /class/graded
FROM python:3.11-slim-bookworm AS machine
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --shell /bin/bash reader
USER reader
ENV OMP_NUM_THREADS=1

FROM machine AS book
WORKDIR /home/reader/zoology_teach
COPY --chown=reader . .
RUN make .venv/.lab TORCH=cpu && .venv/bin/zoology-teach doctor
ENV PATH="/home/reader/zoology_teach/.venv/bin:$PATH"
EXPOSE 8888
CMD ["make", "lab", "TORCH=cpu", "LAB_ARGS=--no-browser --ip 0.0.0.0"]
