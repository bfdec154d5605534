"""What does super-resolution see most: where, how large and how fine?"""

from __future__ import annotations

from functools import partial

from filterscope.studies.eigen_study import analyse_spectra
from filterscope.studies.image_subjects import PICTURES
from filterscope.studies.study import Study

STUDY = Study(
    name="linear-fig5",
    source=(
        "Navarrete Michelini et al., ICCV 2019, figure 5 of the appendix, read as eigen-inputs and "
        "eigen-outputs of super-resolution networks"
    ),
    sides=(),
    paper_data="the paper's pictures",
    analyse=partial(analyse_spectra, family="super-resolution"),
    pictures=PICTURES,
)
