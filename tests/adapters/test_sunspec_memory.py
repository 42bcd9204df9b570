"""What the adapter keeps of what devices read does not grow with how many kinds of them there are."""

from sunspec_bench import Bank, chain_of

from gateway.southbound.sunspec_modbus import translate

KINDS, READS = 10, 20


def test_what_is_kept_decoded_is_of_all_kinds_of_device_together() -> None:
    bank = Bank()
    translate._decoded.cache_clear()
    for max_w in range(5_000, 5_000 + KINDS):
        made = translate.controls(chain_of(bank), max_w)
        assert made is not None
        for left_s in range(READS):
            bank.set(m704_WMaxLimPctRvrtTms=left_s)
            made.decode([octets for ask in made.reads if (octets := bank.octets(*ask)) is not None])
    kept = translate._decoded.cache_info()
    assert (kept.misses + kept.hits, kept.maxsize) == (KINDS * READS, translate.DECODED_MAX)
