from __future__ import annotations

import re
from xml.etree import ElementTree

from gisearch.tracking.plots import Curve, learning_curves, parallel_coordinates, svg, take_words

CURVES = [
    Curve("a", [1, 2], [0.1, 0.3], "finished"),
    Curve("b", [1], [0.2], "stopped_early"),
    Curve("c", [1], [0.0], "failed"),
]


def drawing(name: str = "one") -> str:
    figure = learning_curves(CURVES, "val/<x>", "max", narrow=True)
    take_words(figure)
    return svg(figure, name, label='a "b" <c>', width=4.8, height=3.6)


def test_it_is_one_element_with_a_label_and_without_a_size() -> None:
    root = ElementTree.fromstring(drawing().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    assert root.attrib["viewBox"] == "0 0 345.6 259.2"
    assert root.attrib["aria-label"] == 'a "b" <c>'
    assert not {"width", "height"} & set(root.attrib)
    words = ["".join(one.itertext()) for one in root.iter() if one.tag.endswith("}text")]
    assert {"val/<x>", "best trial", "stopped early", "failed or interrupted"} <= set(words)


def test_the_same_figure_gives_the_same_bytes_and_names_of_its_own() -> None:
    assert drawing() == drawing()
    names = set(re.findall(r' id="([^"]+)"', drawing()))
    others = set(re.findall(r' id="([^"]+)"', drawing("two")))
    assert names
    assert not names & others
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', drawing())) == names


def test_the_words_are_taken_off_the_figure_and_can_be_taken_again() -> None:
    figure = learning_curves(CURVES, "val/x", "max")
    conclusion, detail = take_words(figure)
    assert conclusion == "The best of 3 trials has val/x 0.300, at epoch 2"
    assert detail.startswith("1 trial was stopped early, which saved 33% of the epochs.")
    assert take_words(figure) == (conclusion, detail)
    assert conclusion not in svg(figure, "x", label="", width=7, height=4)


def test_parallel_coordinates_lie_below_each_other_on_a_narrow_page() -> None:
    params: list[dict[str, str | int | float | bool | None]] = [
        {"m.on": True, "m.depth": 2, "lr": 0.1},
        {"m.on": False, "lr": 0.001},
        {"m.on": True, "m.depth": 4, "lr": 0.01},
    ]
    figure = parallel_coordinates(params, [0.3, 0.1, 0.2], "val/x", "max", down=True)
    width, _ = figure.get_size_inches()
    assert width < 5
    axes = figure.axes[0]
    at = {text.get_text(): text.get_position() for text in axes.texts}
    assert at["on"][1] > at["depth"][1] > at["lr (log)"][1] > at["val/x"][1]
    assert at["off"][0] < at["2"][0] < at["4"][0], "inactive stands outside the range"
    # The best trial's line ends at the right end of the last axis.
    best = max(axes.patches, key=lambda patch: patch.get_linewidth()).get_path().vertices
    assert tuple(best[-1]) == (1.0, -3.0)
    assert best[0][1] == 0.0
