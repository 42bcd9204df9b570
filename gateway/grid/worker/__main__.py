"""`python -m gateway.grid.worker`: reads its setup and then questions from standard input, one JSON value a line.

Answers go to what standard output was at the start; the engine's own words go to standard error. It ends with its
standard input, whatever it is doing.
"""

import os
import queue
import sys
import threading
from io import FileIO

from gateway.grid.talk import Faulty, Question, Ready, Setup, line, told


def main() -> None:
    """Serve until standard input ends."""
    answers = FileIO(os.dup(1), "w")
    os.dup2(2, 1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    _serve(answers, lines)


def _listen(lines: "queue.SimpleQueue[bytes]") -> None:
    """Pass on every line, and end the process with the last: a solve that never ends must not outlive the daemon."""
    for text in sys.stdin.buffer:
        lines.put(text)
    os._exit(0)


def _serve(answers: FileIO, lines: "queue.SimpleQueue[bytes]") -> None:
    setup = told(lines.get(), Setup)
    try:
        from gateway.grid.worker.certify import Certifier  # noqa: PLC0415 - its absence is an answer, not a crash
        from gateway.grid.worker.load import ModelFault  # noqa: PLC0415 - as above
    except ImportError as error:
        what = f'OpenDSS cannot be used ({error}); install laminar-gateway with its extra "grid"'
        answers.write(line(Faulty((what,))))
        lines.get()
        return
    try:
        certifier = Certifier(setup)
    except (ModelFault, OSError) as error:
        faults = (
            error.faults
            if isinstance(error, ModelFault)
            else (f"{error.filename}: {error.strerror}; correct the model",)
        )
        answers.write(line(Faulty(faults)))
        lines.get()
        return
    answers.write(line(Ready(certifier.circuit.hash, len(certifier.circuit.nodes))))
    while True:
        answers.write(line(certifier.answer(told(lines.get(), Question))))


if __name__ == "__main__":
    main()
