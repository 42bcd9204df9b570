"""From the body of an order to the last device's registers: the gateway, and beside it the least that it could cost."""

import math
import resource
import shutil
import statistics
import sys
import time
from pathlib import Path

from .devices import FLOOR, OURS, RATED_W
from .site import control_list, site_file
from .streams import Child, Line

WARM_UP = 3
LIMITS_W = (2_000, 3_000)
PAUSE_S = 0.8
NS_PER_MS = 1e6


def p99_ms(arrived_ns: list[int], began_ns: int) -> float:
    ordered = sorted(arrived_ns)
    return (ordered[math.ceil(0.99 * len(ordered)) - 1] - began_ns) / NS_PER_MS


def run(folder: Path, count: int, bursts: int):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    site = folder / "site.toml"
    with Child("devices", count) as devices:
        ports = devices.hear()["ports"]
        site.write_text(site_file(ports))
        with Child("ours", site, folder / "state") as ours, Child("floor", folder / "floor.log") as floor:
            ours.hear()
            floor.ask({"ports": ports})
            found = {"ours": [], "floor": []}
            created_s = int(time.time())
            for number in range(bursts + WARM_UP):
                limit_w = LIMITS_W[number % 2]
                h = limit_w * 10_000 // RATED_W
                devices.ask({"unit": OURS, "watch": h})
                created_s = max(created_s + 1, int(time.time()))
                ours.tell({"body": control_list(number + 1, created_s, limit_w)})
                came = devices.ask({"unit": OURS})
                began = ours.hear()["began_ns"]
                o = p99_ms(came["arrived_ns"], began)
                n = len(came["arrived_ns"])
                time.sleep(PAUSE_S)
                devices.ask({"unit": FLOOR, "watch": h})
                floor.tell({"address": came["address"], "payload": came["told"], "entry": "x" * 200 + "\n"})
                fl = devices.ask({"unit": FLOOR})
                fbegan = floor.hear()["began_ns"]
                f = p99_ms(fl["arrived_ns"], fbegan)
                print(number, n, len(fl["arrived_ns"]), f"first {(min(came['arrived_ns'])-began)/1e6:.1f} {(min(fl['arrived_ns'])-fbegan)/1e6:.1f}", f"p99 ours {o:.1f} floor {f:.1f} {o/f:.2f}", flush=True)
                if number >= WARM_UP and n == count:
                    found["ours"].append(o)
                    found["floor"].append(f)
                time.sleep(PAUSE_S)
    a, b = statistics.median(found["ours"]), statistics.median(found["floor"])
    print(f"N={count} bursts={len(found['ours'])} median p99 ours {a:.1f} floor {b:.1f} ratio {a/b:.2f}")


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    run(Path("build/bench/order").absolute(), int(sys.argv[1]), int(sys.argv[2]))
