"""An audit in words: names for its results, and what they mean for an accuracy on the same images."""

from __future__ import annotations

from allkit.auditing.audit import COLOUR_HISTOGRAM, MAJORITY_CLASS, Audit, ProtocolAudit
from allkit.data.baselines import CENTRE

BASELINES = {
    COLOUR_HISTOGRAM: "colour histogram (8x8x8)",
    "grey_histogram": "grey histogram (256)",
    "background_colour": "background colour (3)",
    MAJORITY_CLASS: "majority class",
}
PATCHES = {
    "top_left": "top left",
    "top_right": "top right",
    "bottom_left": "bottom left",
    "bottom_right": "bottom right",
    CENTRE: "centre",
}
PROTOCOLS = {"random": "random (paper protocol)", "grouped": "grouped"}


def counted(number: int, singular: str, plural: str = "") -> str:
    """`1 group`, `2 groups`."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def conclusions(audit: Audit) -> tuple[str, ...]:
    """What the audit means for an accuracy on these images, in paragraphs."""
    paragraphs = [_errors(audit), _twins(audit), *_groups(audit)]
    if audit.protocols:
        paragraphs += [_colour(audit), _corners(audit)]
    for name, reason in audit.not_split.items():
        paragraphs.append(f"The {PROTOCOLS[name]} protocol could not be followed: {reason}.")
    paragraphs.append(
        "Report an accuracy on this set with the split protocol, the number of images, the interval and the colour "
        "baseline on the same split. It is no evidence for other slides, microscopes or patients. Research use; not "
        "for diagnosis."
    )
    return tuple(paragraph for paragraph in paragraphs if paragraph)


def _errors(audit: Audit) -> str:
    found = []
    if audit.unreadable:
        found.append(f"{counted(len(audit.unreadable), 'image')} cannot be read")
    if audit.cross_class:
        number = len(audit.cross_class)
        verb = "is" if number == 1 else "are"
        found.append(
            f"{counted(number, 'group')} of duplicates {verb} in more than one class, so that at least one label in "
            "each is wrong, or uncertain where the copies are only similar"
        )
    return f"To be fixed before training: {'; '.join(found)}." if found else ""


def _groups(audit: Audit) -> list[str]:
    """How the images were grouped, one paragraph per protocol."""
    told = ("; ".join(protocol.remarks) for protocol in audit.protocols.values())
    return [f"{sentence[:1].upper()}{sentence[1:]}." for sentence in told]


def _twins(audit: Audit) -> str:
    if not audit.exact_pairs + audit.near_pairs:
        return "No duplicates were found."
    return (
        f"The set contains duplicates: {counted(audit.exact_pairs, 'byte-identical pair')} and "
        f"{counted(audit.near_pairs, 'near-identical pair')}. Of the {audit.n / 10:.0f} test images of a random "
        f"80/10/10 split made image by image, about {audit.exact_twins:.1f} have an exact copy in training, "
        f"{audit.near_twins:.1f} an exact or near copy: they test memory, not generalisation."
    )


def _colour(audit: Audit) -> str:
    shares = " and ".join(
        f"{protocol.baselines[COLOUR_HISTOGRAM].percent()} on {PROTOCOLS[name]} splits"
        for name, protocol in audit.protocols.items()
    )
    strictest = _strictest(audit)
    majority = strictest.baselines[MAJORITY_CLASS]
    if strictest.baselines[COLOUR_HISTOGRAM].low <= majority.high:
        return (
            f"Colour alone does not predict the class: the nearest colour histogram scores {shares}, the majority "
            f"class {majority.percent()}."
        )
    return (
        f"Colour alone predicts the class of many images: the nearest colour histogram, which sees no shapes, scores "
        f"{shares}, the majority class {majority.percent()}. A model with a similar accuracy need not have learnt "
        "anything about cells."
    )


def _corners(audit: Audit) -> str:
    protocol = _strictest(audit)
    centre = protocol.patches[CENTRE].percent()
    if not protocol.revealing_corners:
        return f"No corner reveals the class: none scores clearly higher than a patch from the centre ({centre})."
    corners = " and ".join(
        f"the {PATCHES[name]} corner alone, without its colour, scores {protocol.patches[name].percent()}"
        for name in protocol.revealing_corners
    )
    return (
        f"Something in a corner reveals the class: {corners}, a patch of the same size from the centre {centre}. A "
        "model can use that corner: mask it and compare."
    )


def _strictest(audit: Audit) -> ProtocolAudit:
    """The strictest protocol: the last one that could be followed."""
    return list(audit.protocols.values())[-1]
