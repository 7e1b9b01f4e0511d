"""A chest film drawn by the program: for demonstrations, and for tests that need no patient's picture.

Schematic: the attenuations of air, soft tissue and bone are added up along the beam, as in a radiograph,
then toned like a film. It resembles a frontal (PA) view; it is no substitute for one.
"""

from io import BytesIO
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

LABEL: Final = "SYNTHETIC PHANTOM"

_FINEST = 512  # the shapes have no finer detail; only noise and label are drawn at full size

Field = NDArray[Any]  # float32 or float64, of a shape that broadcasts to the film's


class _Anatomy(NamedTuple):
    """What varies with the seed. Lengths in half film widths; x runs to the viewer's right, y down."""

    width: float  # of the chest, relative
    heart: float  # transverse radius
    domes: tuple[float, float]  # top of the diaphragm, viewer's left and right
    ribs: float  # distance between neighbours
    tilt: float  # of the clavicles
    opacity: tuple[float, float, float, float]  # centre x, y, radii


def draw(*, size: int = 1024, seed: int = 0, opacity: bool = True) -> NDArray[np.uint16]:
    """Draw the phantom.

    Args:
        size: side, px; at least 32.
        seed: varies the anatomy, the noise and the place of the opacity a little. The same seed without
            the opacity is the same film but for the opacity.
        opacity: whether there is a faint opacity in one lung; `opacity_box` says where.

    Returns:
        (size, size) uint16, 0 … 65535, bone white.
    """
    anatomy = _anatomy(seed)
    x, y = _coordinates(min(size, _FINEST))
    lungs = _lungs(x, y, anatomy)
    air = lungs * (1 - 0.8 * _mediastinum(x, y, anatomy))
    density = 0.62 * _body(x, y) - (0.36 + 0.04 * np.cos(2 * y)) * air
    density += 0.075 * _vessels(x, y, seed) * air + _bones(x, y, anatomy)
    if opacity:
        density += 0.17 * _opacity(x, y, anatomy) * lungs
    density = _enlarged(density, size)
    rng = np.random.default_rng([seed, 1])
    density += 0.022 * _enlarged(rng.normal(0, 1, (24, 24)), size) + rng.normal(0, 0.009, (size, size))
    tone = 1 / (1 + np.exp(-6.5 * (density - 0.46)))  # the S-shaped characteristic curve of film
    return _labelled(np.clip((tone - 0.05) / 0.95, 0, 1))


def png(*, size: int = 1024, seed: int = 0, opacity: bool = True) -> bytes:
    """Return `draw(…)` as a 16-bit grey PNG."""
    stream = BytesIO()
    Image.fromarray(draw(size=size, seed=seed, opacity=opacity)).save(stream, "PNG")
    return stream.getvalue()


def opacity_box(size: int = 1024, seed: int = 0) -> tuple[float, float, float, float]:
    """Return the box (x, y, width, height) around the opacity of `draw`, px from the top left."""
    x, y, across, down = _anatomy(seed).opacity
    half = size / 2
    return (x - across + 1) * half, (y - down + 1) * half, 2 * across * half, 2 * down * half


def _anatomy(seed: int) -> _Anatomy:
    rng = np.random.default_rng([seed, 0])
    vary = rng.uniform(-1, 1, 8)
    side = -1 if rng.random() < 0.5 else 1
    high = 0.03 * vary[2]
    return _Anatomy(
        width=1 + 0.04 * vary[0],
        heart=0.33 + 0.03 * vary[1],
        domes=(0.42 + high, 0.49 + high + 0.02 * vary[3]),
        ribs=0.137 + 0.006 * vary[4],
        tilt=0.1 + 0.03 * vary[5],
        # the left lung is narrower below, where the heart lies
        opacity=(
            side * rng.uniform(0.42, 0.47),
            rng.uniform(-0.3, 0.12),
            rng.uniform(0.1, 0.14),
            rng.uniform(0.1, 0.15),
        ),
    )


def _coordinates(size: int) -> tuple[Field, Field]:
    """Return x (1, size) and y (size, 1), pixel centres in (−1, 1)."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1).astype(np.float32)
    return line[None, :], line[:, None]


def _step(distance: Field, softness: float) -> Field:
    """Return 1 well inside (distance > 0), 0 well outside, with an edge about 4 × softness wide."""
    inside: Field = 1 / (1 + np.exp(np.clip(-distance / softness, -30, 30)))
    return inside


def _ellipse(
    x: Field, y: Field, centre: tuple[float, float], radii: tuple[float, float], turn: float = 0
) -> Field:
    """Return the distance-like field 1 − r of an ellipse turned by `turn` radians: positive inside."""
    across, down = x - centre[0], y - centre[1]
    cos, sin = np.cos(turn).astype(np.float32), np.sin(turn).astype(np.float32)
    radius: Field = np.hypot((across * cos + down * sin) / radii[0], (down * cos - across * sin) / radii[1])
    return 1 - radius


def _body(x: Field, y: Field) -> Field:
    """Soft tissue: neck, sloping shoulders that leave the film at its sides, trunk; thickest inside."""
    away = np.abs(x)
    slope = np.clip((away - 0.19) / 0.6, 0, 2)
    shoulder = y + 0.97 - 0.24 * slope**1.3 - 0.5 * np.clip(away - 0.8, 0, 1)
    neck = _step(0.2 - away + 0.03 * y, 0.012)
    side = 0.9 + 0.25 * _step(-0.2 - y, 0.12) + 0.03 * y
    trunk = _step(side - away, 0.012)
    thickness = 0.93 + 0.08 * np.cos(1.8 * x) + 0.07 * y - 0.35 * np.clip(away - 0.55, 0, 1)
    body: Field = np.maximum(neck, _step(shoulder, 0.02) * trunk) * thickness
    return body


def _wall(y: Field) -> Field:
    """Return how far from the midline the chest wall lies at height y."""
    depth = np.clip((y + 0.86) / 1.35, 0, 1)
    return 0.24 + 0.53 * np.sqrt(np.clip(1 - (1 - depth) ** 2.8, 0, 1)) - 0.03 * depth**3


def _lungs(x: Field, y: Field, anatomy: _Anatomy) -> Field:
    """Return 1 in the air of both lungs."""
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    for side, dome in zip((-1, 1), anatomy.domes, strict=True):
        away = side * x / anatomy.width
        outer = _wall(y)
        apex = y + 0.8 - 1.9 * np.clip(np.abs(away - 0.33) - 0.05, 0, 1) ** 2
        floor = dome + 0.95 * (away - 0.36) ** 2 + 1.6 * np.clip(away - 0.5, 0, 1) ** 1.5 - y
        inner = away - 0.115 - 0.035 * np.cos(2.5 * y)
        total += _step(outer - away, 0.009) * _step(apex, 0.012) * _step(floor, 0.007) * _step(inner, 0.014)
    return total


def _mediastinum(x: Field, y: Field, anatomy: _Anatomy) -> Field:
    """Heart, on the viewer's right, aortic knob and hila, as a share of what would be lung there."""
    heart = _step(_ellipse(x, y, (0.11, 0.27), (anatomy.heart, 0.3), 0.6), 0.03)
    atrium = _step(_ellipse(x, y, (-0.06, 0.26), (0.16, 0.28)), 0.04)
    knob = _step(_ellipse(x, y, (0.115, -0.36), (0.095, 0.1)), 0.06)
    trunk = 0.8 * _step(_ellipse(x, y, (0.12, -0.16), (0.1, 0.15)), 0.1)
    hila = 0.5 * sum(
        np.exp(-(((x - at) / 0.06) ** 2) - ((y - height) / 0.12) ** 2)
        for at, height in ((-0.2, -0.07), (0.22, -0.12))
    )
    share: Field = np.clip(np.maximum.reduce([heart, atrium, knob, trunk]) + hila, 0, 1)
    return share


def _vessels(x: Field, y: Field, seed: int) -> Field:
    """Vessels that leave the hila like the spokes of a fan, thinning outwards."""
    rng = np.random.default_rng([seed, 2])
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.float32)
    for side, root in ((-1, -0.06), (1, -0.1)):
        for angle in np.linspace(-1.25, 1.35, 11) + rng.uniform(-0.12, 0.12, 11):
            across, down = side * x - 0.17, y - root - 0.12 * angle
            along = across * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))
            aside = down * np.float32(np.cos(angle)) - across * np.float32(np.sin(angle))
            aside = aside + np.float32(rng.uniform(-0.9, 0.9)) * along**2
            reach = rng.uniform(0.25, 0.45)
            radius = 0.019 * np.clip(1 - along / reach, 0.3, 1)
            total += np.exp(-np.square(aside / radius)) * _step(along, 0.02) * _step(reach - along, 0.05)
    return np.clip(total, 0, 1.2)


def _bones(x: Field, y: Field, anatomy: _Anatomy) -> Field:
    """Return the density that bone adds, and that the trachea and the stomach's air take away."""
    away = np.abs(x)
    vertebrae = 0.8 + 0.2 * np.cos(2 * np.pi * y / 0.125) * _step(y + 0.95, 0.05)
    total = 0.15 * _step(0.082 - away, 0.012) * vertebrae
    total = total - 0.11 * _step(0.036 - away, 0.008) * _step(-0.3 - y, 0.03)
    for number in range(9):
        start, drop = -0.81 + anatomy.ribs * number, 0.16 + 0.02 * number
        reach = anatomy.width * float(_wall(np.array(start + drop)))
        share = np.clip((away - 0.06) / (reach - 0.06), 0, 1)
        posterior = start - 0.035 * np.sin(np.pi * share) + drop * (0.65 * share**1.7 + 0.35 * share**8)
        span = _step(away - 0.06, 0.01) * _step(reach + 0.012 - away, 0.006)
        total = total + 0.1 * _tube(y, posterior, 0.026 + 0.001 * number) * span
        if 0 < number < 7:
            anterior = start + drop + (0.14 + 0.03 * number) * (1 - share) ** 0.75
            total = total + 0.055 * _tube(y, anterior, 0.031) * span * _step(share - 0.42, 0.04)
    clavicle = -0.66 - anatomy.tilt * (away - 0.1) / 0.7 + 0.022 * np.sin(8.5 * (away - 0.1))
    total = total + 0.15 * _tube(y, clavicle, 0.034) * _step(away - 0.11, 0.008) * _step(0.67 - away, 0.01)
    scapula = _step(_ellipse(away, y, (0.84, -0.3), (0.15, 0.36), 0.3), 0.03)
    head = _step(_ellipse(away, y, (0.93, -0.5), (0.12, 0.13)), 0.06)
    total = total + 0.05 * scapula + 0.1 * head * _body(x, y)
    bubble = _step(_ellipse(x, y, (0.36, anatomy.domes[1] + 0.13), (0.13, 0.06), -0.2), 0.16)
    bone: Field = (total - 0.15 * bubble).astype(np.float32)
    return bone


def _tube(position: Field, middle: Field, radius: float) -> Field:
    """Return the shadow of a hollow bone around the line position = middle: brighter at its rims."""
    # the line is a function of the other coordinate: where it is steep its vertical section is longer
    slope = np.gradient(middle.ravel(), 2 / middle.size) if middle.size > 1 else np.zeros(1)
    stretch = np.sqrt(1 + np.minimum(np.square(slope), 9)).reshape(middle.shape).astype(np.float32)
    square = np.square((position - middle) / (radius * stretch))
    shadow: Field = np.sqrt(np.clip(1 - square, 0, 1)) - 0.6 * np.sqrt(np.clip(0.62 - square, 0, 1))
    return 1.6 * shadow


def _opacity(x: Field, y: Field, anatomy: _Anatomy) -> Field:
    """Return a cloud that fades out at the rim of its box."""
    centre_x, centre_y, across, down = anatomy.opacity
    u, v = (x - centre_x) / across, (y - centre_y) / down
    cloud = np.clip(1 - np.square(u) - np.square(v), 0, 1) ** 0.8
    texture: Field = cloud * (0.85 + 0.15 * np.sin(5 * u + 2 * v) * np.cos(4 * v - u))
    return texture


def _enlarged(field: Field, size: int) -> Field:
    """Return the field (n, n) as (size, size), bicubic."""
    image = Image.fromarray(field.astype(np.float32))
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC))


def _labelled(film: Field) -> NDArray[np.uint16]:
    """Return the film in 16 bits with `LABEL` in the lower left corner."""
    size = film.shape[0]
    image = Image.fromarray((film * 65535).astype(np.uint16))
    mask = Image.new("L", image.size)
    font = ImageFont.load_default(max(size // 45, 8))
    ImageDraw.Draw(mask).text((size // 50, size - size // 25), LABEL, fill=255, font=font)
    share = np.asarray(mask, dtype=np.float32) / 255
    values = np.asarray(image) * (1 - share) + 60000 * share
    return values.astype(np.uint16)
