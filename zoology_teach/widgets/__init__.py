"""What moves and asks: explorers, training one can watch and stop, guesses and results."""

from zoology_teach.widgets.explorer import Explorer
from zoology_teach.widgets.live_training import LiveTraining
from zoology_teach.widgets.predict import Predict, Reveal
from zoology_teach.widgets.token_losses import TokenLosses
from zoology_teach.widgets.width_slider import WidthSlider

__all__ = ["Explorer", "LiveTraining", "Predict", "Reveal", "TokenLosses", "WidthSlider"]
