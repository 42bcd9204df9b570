"""An inverter's inside as EPRI's OpenDER has it: IEEE 1547-2018 for PV and batteries, by somebody else's reading.

OpenDER's time step is an attribute of a class, one for the process: it is set before every run, so all inverters of a
process have to be stepped in one thread.
"""

import logging
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import opender

from hil.physics.first_order import Around
from hil.physics.opender_settings import nameplate, settings_of
from hil.physics.plant import Wish
from hil.sunspec.personality import InverterSpec, Settings
from hil.sunspec.register_image import Image

_LONGEST_STEP_S: Final = 0.1
_STEADY_S: Final = 100_000.0
_SLOWER: Final = 100
_NOT_BEYOND: Final = 1 - 1e-9
"""What leaves a voltage that is right on a limit there, where OpenDER's division would put it beyond."""
_HOME: Final = str(Path(opender.__file__).parent)


def _not_of_opender(record: logging.LogRecord) -> bool:
    """Keep OpenDER's remarks about every step of a full battery off the root logger, where it puts them."""
    return not record.pathname.startswith(_HOME)


logging.getLogger().addFilter(_not_of_opender)


class OpenDer:
    """One DER of OpenDER behind the registers of an inverter; `faults` is looked at at every step.

    A step is cut into pieces of at most 100 ms. Infinity is a steady state, OpenDER's snapshot.
    """

    def __init__(self, spec: InverterSpec, models: Sequence[int], faults: Collection[str]) -> None:
        self._spec = spec
        self._models = models
        self._faults = faults
        self._settings = Settings(Wish(), spec.rated_w, spec.rated_w)
        self._given: tuple[Image, frozenset[str]] | None = None
        kind = opender.DER_BESS if spec.kind == "battery" else opender.DER_PV
        self._der: Any = kind(**nameplate(spec))

    @property
    def w(self) -> float:
        return float(self._der.p_out_w or 0.0)

    @property
    def var(self) -> float:
        var = float(self._der.q_out_var or 0.0)
        return -var if "wrong_sign" in self._faults else var

    @property
    def tripped(self) -> bool:
        return bool(self._der.der_status == "Trip") and self._settings.wish.energize

    def delay_left_s(self, now_ms: int) -> float:
        del now_ms
        entering = self._der.opstatus.enterservicecrit
        if self._der.der_status != "Trip" or not entering.es_vf_crit:
            return 0.0
        return max(0.0, self._settings.enter_delay_s - float(entering.vft_delay.con_del_enable_int))

    def take(self, settings: Settings, image: Image) -> None:
        self._settings = settings
        self._tell(image)

    def _tell(self, image: Image) -> None:
        """Hand over every setting that is another than before."""
        faults = frozenset(self._faults)
        self._given = (image, faults)
        file = self._der.der_file
        for name, value in settings_of(self._spec, self._models, image, self._settings, faults).items():
            if getattr(file, name) != value:
                setattr(file, name, value)

    def step(self, now_ms: int, dt_s: float, around: Around) -> None:
        del now_ms
        if self._given is not None and self._given[1] != self._faults:
            self._tell(self._given[0])
        self._surround(around)
        if math.isinf(dt_s):
            self._run(_STEADY_S, 1)
            return
        pace_s = dt_s / _SLOWER if "slow" in self._faults else dt_s
        pieces = math.ceil(pace_s / _LONGEST_STEP_S - 1e-9)
        if pieces > 0:
            self._run(pace_s / pieces, pieces)

    def _run(self, step_s: float, times: int) -> None:
        opender.DER.t_s = step_s
        for _ in range(times):
            self._der.run()

    def _surround(self, around: Around) -> None:
        nominal_v = self._spec.nominal_v
        volts = [nominal_v + (v - nominal_v) * _NOT_BEYOND for v in around.volts]
        self._der.update_der_input(v=volts if len(volts) == 3 else sum(volts) / len(volts), f=around.hz)
        wish = self._settings.wish
        if self._spec.kind != "battery":
            self._der.update_der_input(p_dc_w=around.available_w)
            return
        set_w = self._spec.rated_w if "ignores_limit" in self._faults else wish.set_w or 0.0
        self._der.update_der_input(p_dem_w=max(-around.absorbs_w, min(around.available_w, set_w)))
