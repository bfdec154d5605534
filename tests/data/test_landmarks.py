"""Landmarks in CSV files: good ones, missing ones, wrong ones."""

import pytest
import torch

from filterscope.data.landmarks import Landmark, as_points, read_landmarks, refuse_outside


def rows(text: str) -> list[Landmark]:
    return read_landmarks(text.encode(), "a.csv")


def test_rows_are_read_with_or_without_sizes_and_further_columns() -> None:
    text = "image,width,height,part,x,y,colour\n1.jpg,20,10,head,3,4.5,red\n2.jpg,,,legs,0,0,\n"
    assert rows(text) == [
        Landmark("1.jpg", "head", 3.0, 4.5, (20, 10), 2),
        Landmark("2.jpg", "legs", 0.0, 0.0, None, 3),
    ]


def test_a_byte_order_mark_and_windows_lines_are_taken() -> None:
    content = "\ufeffimage,part,x,y\r\n1.jpg,head,3,4\r\n".encode()
    assert len(read_landmarks(content, "a.csv")) == 1


@pytest.mark.parametrize("missing", [",", "nan,nan", "NaN,"])
def test_a_row_without_numbers_is_a_missing_part(missing: str) -> None:
    assert rows(f"image,part,x,y\n1.jpg,head,{missing}\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,x,y\n", r"a.csv lacks part \(it has image, x, y\); expected the columns"),
        ("", r"lacks image, part, x, y \(it has nothing\)"),
        ("image;part;x;y\n1;head;2;3\n", "lacks image, part, x, y"),
        ("image,part,x,y\n1.jpg,head,left,4\n", "line 2: x is 'left', expected a number"),
        ("image,part,x,y\n1.jpg,head,3,inf\n", "line 2: y is 'inf'"),
        ("image,part,x,y\n1.jpg,head,3\n", "line 2: one of x and y is missing"),
        ("image,part,x,y\n1.jpg,,3,4\n", "line 2: it names no image or no part"),
        ("image,part,x,y\n1.jpg,a,1,1\n,a,3,4\n", "line 3: it names no image or no part"),
    ],
)
def test_wrong_files_are_refused_with_the_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows(text)


def test_a_file_that_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="not readable as a CSV file"):
        read_landmarks(b"\xff\xfe\x00\x81", "a.csv")


@pytest.mark.parametrize(
    ("x", "y", "inside"),
    [(0, 0, True), (20, 10, True), (-0.1, 5, False), (20.1, 5, False), (5, 10.5, False)],
)
def test_landmarks_outside_the_image_are_refused(x: float, y: float, inside: bool) -> None:
    landmark = Landmark("1.jpg", "head", x, y, None, 7)
    if inside:
        refuse_outside(landmark, (20, 10), "a.csv")
        return
    with pytest.raises(ValueError, match=r"a.csv, line 7: head at .* lies outside 1.jpg"):
        refuse_outside(landmark, (20, 10), "a.csv")


def test_landmarks_for_an_image_of_another_size_are_refused() -> None:
    landmark = Landmark("1.jpg", "head", 1.0, 1.0, (40, 20), 3)
    with pytest.raises(ValueError, match=r"line 3: 1.jpg is said to be 40 x 20 .* is 20 x 10"):
        refuse_outside(landmark, (20, 10), "a.csv")


def test_missing_and_repeated_parts_have_no_place() -> None:
    found = [
        Landmark("1", "legs", 1.0, 2.0, None, 2),
        Landmark("1", "head", 3.0, 4.0, None, 3),
        Landmark("1", "legs", 5.0, 6.0, None, 4),
    ]
    points, repeated = as_points(found, ["head", "legs", "tail"])
    assert repeated == 1
    assert points[0].tolist() == [3, 4]
    assert points[1:].isnan().all()
    assert points.dtype == torch.float64
