"""A skeleton as an SVG picture: a band per tier, a row per depth, the offending flows red and numbered (RULES D)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.coordination.assess import SCALES, Assessment, assess
from gateway.coordination.graph import depths
from gateway.coordination.skeleton import Entity, Flow, Kind, Skeleton
from gateway.core.parties import Tier

LETTER, BOX_HEIGHT, BOX_SPACE = 7, 46, 40
PORT, TRACK, GAP_EDGE = 16, 20, 14
MARGIN, HEAD, BAND_LABEL = 16, 40, 116
LINE, BADGE = 20, 8
STROKES = {
    Kind.CONTROL: ("#1f4e79", ""),
    Kind.MARKET: ("#2e7d32", "8 4"),
    Kind.DATA: ("#616161", "2 4"),
}
RED = "#c62828"
UNMARKED = ("latency_cascading",)
"""Verdicts whose causes are the normal flows: they are told, and nothing is marked."""


@dataclass(slots=True)
class _Box:
    entity: Entity
    row: int
    width: int
    x: int = 0
    y: int = 0
    order: int = 0
    above: list[tuple[int, int]] = field(default_factory=list)
    below: list[tuple[int, int]] = field(default_factory=list)
    _places: dict[bool, dict[int, int]] = field(default_factory=dict)

    def port(self, flow: int, *, low: bool) -> int:
        """Give the x at which an end of a flow meets the box, once all of them are known."""
        places = self._places.get(low)
        if places is None:
            ports = sorted(self.below if low else self.above)
            places = self._places[low] = {index: place for place, (_, index) in enumerate(ports, 1)}
        return self.x + self.width * places[flow] // (len(places) + 1)


def draw(skeletons: Sequence[Skeleton]) -> str:
    """Give one SVG document with the pictures below each other."""
    parts: list[str] = []
    width = bottom = 0
    for skeleton in skeletons:
        picture = _Picture(skeleton, assess(skeleton))
        parts += [f'<g transform="translate(0 {bottom})">', *picture.parts(), "</g>"]
        width, bottom = max(width, picture.width), bottom + picture.height
    markers = [_marker(str(kind), colour) for kind, (colour, _) in STROKES.items()] + [_marker("offending", RED)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{bottom}" viewBox="0 0 {width} {bottom}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">'
    )
    paper = f'<rect width="{width}" height="{bottom}" fill="#ffffff"/>'
    return "\n".join([head, "<defs>", *markers, "</defs>", paper, *parts, "</svg>", ""])


def offences(assessment: Assessment) -> dict[Flow, list[str]]:
    """Give the flows that cause a verdict that is not the best of its scale, each with those verdicts."""
    found: dict[Flow, list[str]] = {}
    for verdict in assessment.verdicts:
        if verdict.name in UNMARKED or verdict.value == SCALES[verdict.name][0]:
            continue
        for flow in verdict.causes:
            found.setdefault(flow, []).append(f"{verdict.name.replace('_', ' ')}: {_word(verdict.value)}")
    return found


def _word(value: str | bool) -> str:
    return value if isinstance(value, str) else "yes" if value else "no"


class _Picture:
    """Places the boxes of one skeleton, gives every flow tracks of its own between the rows, and draws."""

    def __init__(self, skeleton: Skeleton, assessment: Assessment) -> None:
        self._skeleton = skeleton
        self._offences = offences(assessment)
        self._boxes = self._placed()
        self._rows = max(box.row for box in self._boxes.values()) + 1
        self._tracks: dict[tuple[int, int], int] = {}
        self._lanes: dict[int, int] = {}
        self._in_gap = [0] * self._rows
        for index, flow in enumerate(skeleton.flows):
            self._reserve(index, flow)
        self._right = self._columns()
        self._row_y = self._heights()
        for box in self._boxes.values():
            box.y = self._row_y[box.row]
        self._legend = self._legend_lines()
        legend_width = max(len(line) for line in self._legend) * LETTER + 80
        self.width = max(self._right + TRACK * (len(self._lanes) + 1), legend_width, 420) + MARGIN
        self._foot = self._row_y[-1] + BOX_HEIGHT + self._gap_height(self._rows - 1) + LINE
        self.height = self._foot + LINE * (len(self._legend) + 2) + MARGIN

    def _placed(self) -> dict[str, _Box]:
        boxes: dict[str, _Box] = {}
        first = 0
        for tier in Tier:
            members = [each for each in self._skeleton.entities if each.tier is tier]
            names = dict.fromkeys(each.id for each in members)
            control = self._skeleton.control()
            inside = [flow for flow in control if flow.sender in names and flow.receiver in names]
            deep = depths(list(names), inside)
            used = {depth: row for row, depth in enumerate(sorted(dict.fromkeys(deep.values())), first)}
            for each in members:
                letters = max(len(each.id), len(_second_line(each)))
                boxes[each.id] = _Box(each, used[deep[each.id]], max(120, letters * LETTER + 24), order=len(boxes))
            first += len(used)
        return boxes

    def _reserve(self, index: int, flow: Flow) -> None:
        """Keep a track in each gap that the flow runs through, a lane where there are two, and a port at each end."""
        sender, receiver = self._boxes[flow.sender], self._boxes[flow.receiver]
        for gap in self._gaps(flow):
            if (gap, index) not in self._tracks:
                self._tracks[gap, index] = self._in_gap[gap]
                self._in_gap[gap] += 1
        if len(dict.fromkeys(self._gaps(flow))) > 1:
            self._lanes[index] = len(self._lanes)
        for box, other, low in (
            (sender, receiver, receiver.row >= sender.row),
            (receiver, sender, receiver.row <= sender.row),
        ):
            place = len(self._boxes) if index in self._lanes else other.order
            (box.below if low else box.above).append((place, index))

    def _gaps(self, flow: Flow) -> tuple[int, int]:
        sender, receiver = self._boxes[flow.sender].row, self._boxes[flow.receiver].row
        if sender == receiver:
            return sender, sender
        return (sender, receiver - 1) if sender < receiver else (sender - 1, receiver)

    def _columns(self) -> int:
        """Place the boxes of each row side by side, rows centred on each other, and give where the lanes begin."""
        widths: dict[int, int] = {}
        for box in self._boxes.values():
            box.width = max(box.width, PORT * (max(len(box.above), len(box.below)) + 1))
            widths[box.row] = widths.get(box.row, -BOX_SPACE) + box.width + BOX_SPACE
        widest = max(widths.values())
        left = MARGIN + BAND_LABEL
        at = {row: left + (widest - width) // 2 for row, width in widths.items()}
        for box in self._boxes.values():
            box.x = at[box.row]
            at[box.row] += box.width + BOX_SPACE
        return left + widest + TRACK

    def _gap_height(self, gap: int) -> int:
        return 2 * GAP_EDGE + TRACK * self._in_gap[gap]

    def _heights(self) -> list[int]:
        found = [HEAD]
        for gap in range(self._rows - 1):
            found.append(found[-1] + BOX_HEIGHT + self._gap_height(gap) + TRACK)
        return found

    def _track_y(self, gap: int, index: int) -> int:
        return self._row_y[gap] + BOX_HEIGHT + GAP_EDGE + TRACK * self._tracks[gap, index] + TRACK // 2

    def _legend_lines(self) -> list[str]:
        lines = [f"{flow}: {', '.join(said)}" for flow, said in self._offences.items()]
        return lines or ["no offending flow"]

    def parts(self) -> Iterable[str]:
        """Give the elements: bands, flows, boxes, the legend."""
        title = self._skeleton.title or self._skeleton.id
        yield f"<title>{_escaped(self._skeleton.id)}</title>"
        yield _text(MARGIN, 24, title if title == self._skeleton.id else f"{self._skeleton.id}: {title}", bold=True)
        yield from self._bands()
        numbers = {flow: number for number, flow in enumerate(self._offences, 1)}
        for index, flow in enumerate(self._skeleton.flows):
            yield from self._flow(index, flow, numbers.get(flow))
        for box in self._boxes.values():
            yield f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{BOX_HEIGHT}" rx="6" {_BOX_STYLE}/>'
            middle = box.x + box.width // 2
            yield _text(middle, box.y + 20, box.entity.id, centred=True, bold=True)
            yield _text(middle, box.y + 36, _second_line(box.entity), centred=True)
        yield from self._legend_parts()

    def _bands(self) -> Iterable[str]:
        for tier in Tier:
            rows = [box.row for box in self._boxes.values() if box.entity.tier is tier]
            if not rows:
                continue
            top, bottom = self._row_y[min(rows)] - 8, self._row_y[max(rows)] + BOX_HEIGHT + 8
            width = self._right - MARGIN // 2
            yield f'<rect x="{MARGIN // 2}" y="{top}" width="{width}" height="{bottom - top}" fill="#f3f5f7"/>'
            yield _text(MARGIN, (top + bottom) // 2 + 4, str(tier))

    def _flow(self, index: int, flow: Flow, number: int | None) -> Iterable[str]:
        sender, receiver = self._boxes[flow.sender], self._boxes[flow.receiver]
        down, up = receiver.row >= sender.row, receiver.row <= sender.row
        start, end = sender.port(index, low=down), receiver.port(index, low=up)
        first, last = (self._track_y(gap, index) for gap in self._gaps(flow))
        points = [(start, sender.y + (BOX_HEIGHT if down else 0)), (start, first)]
        turn = end
        if index in self._lanes:
            turn = self._right + TRACK * self._lanes[index]
            points += [(turn, first), (turn, last)]
        points += [(end, last), (end, receiver.y + (BOX_HEIGHT if up else 0))]
        colour, dash = STROKES[flow.kind]
        mark = str(flow.kind) if number is None else "offending"
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        width = 3 if flow.joint else 2
        yield (
            f'<polyline points="{" ".join(f"{x},{y}" for x, y in points)}" fill="none" '
            f'stroke="{colour if number is None else RED}" stroke-width="{width}"{dashed} '
            f'marker-end="url(#{mark})"><title>{_escaped(str(flow))}</title></polyline>'
        )
        if number is not None:
            x = (start + turn) // 2
            yield f'<circle cx="{x}" cy="{first}" r="{BADGE}" fill="#ffffff" stroke="{RED}"/>'
            yield _text(x, first + 4, str(number), centred=True, colour=RED)

    def _legend_parts(self) -> Iterable[str]:
        x = MARGIN
        for kind, (colour, dash) in STROKES.items():
            dashed = f' stroke-dasharray="{dash}"' if dash else ""
            line = f'x1="{x}" y1="{self._foot}" x2="{x + 36}" y2="{self._foot}"'
            yield f'<line {line} stroke="{colour}" stroke-width="2"{dashed}/>'
            yield _text(x + 44, self._foot + 4, str(kind))
            x += 110
        yield _text(x, self._foot + 4, "thick: joint")
        for row, said in enumerate(self._legend, 1):
            y = self._foot + LINE * row + 4
            if self._offences:
                yield _text(MARGIN + BADGE, y, str(row), centred=True, colour=RED)
            yield _text(MARGIN + 28, y, said)


_BOX_STYLE = 'fill="#ffffff" stroke="#37474f" stroke-width="1"'


def _second_line(entity: Entity) -> str:
    return f"{entity.role}, {entity.count}"


def _marker(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
    )


def _text(x: int, y: int, said: str, *, centred: bool = False, bold: bool = False, colour: str = "#212121") -> str:
    anchor = ' text-anchor="middle"' if centred else ""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}"{anchor}{weight} fill="{colour}">{_escaped(said)}</text>'


def _escaped(said: str) -> str:
    """Give a text as XML has it; control characters, which no XML holds, become spaces."""
    plain = "".join(each if _is_xml(each) else " " for each in said)
    for mark, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        plain = plain.replace(mark, name)
    return plain


def _is_xml(each: str) -> bool:
    return each >= " " and not ("\ud800" <= each <= "\udfff") and each not in ("\ufffe", "\uffff")
