"""SqliMatch and XssMatch over the values of a field: what a detector said of a short value is remembered."""

from __future__ import annotations

from collections.abc import Callable

from littoral.edge.waf.fields import Values
from littoral.edge.waf.patterns import LONGEST_REMEMBERED, REMEMBERED
from littoral.edge.waf.transformations import Transformation
from littoral.edge.waf.view import View


class Detector:
    """``detect`` of a value after its transformations."""

    __slots__ = ("_detect", "_known", "_transform")

    def __init__(self, detect: Callable[[bytes], bool], transform: Transformation) -> None:
        self._detect = detect
        self._transform = transform
        self._known: dict[bytes, bool] = {}

    def look(self, value: bytes) -> bool:
        found = self._known.get(value)
        if found is None:
            found = self._detect(self._transform(value))
            if len(value) <= LONGEST_REMEMBERED:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[value] = found
        return found

    def test(self, values: Values) -> Callable[[View], bool]:
        def test(view: View) -> bool:
            found = values(view)
            return found if isinstance(found, bool) else any(self.look(value) for value in found)

        return test


class OddTest:
    """A detector over all arguments of the query that says no to letters and digits: it looks at the others only. Who
    asks several of them may ask once whether there are any."""

    __slots__ = ("_detector",)
    plain = False

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def __call__(self, view: View) -> bool:
        return any(self._detector.look(value) for value in view.odd_arguments)
