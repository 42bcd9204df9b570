"""Simulated SunSpec devices on Modbus: inverters, meters, their registers, faults and quirks."""
