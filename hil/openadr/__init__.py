"""The parts of a simulated OpenADR 3.1 VTN; bodies are JSON objects in the words of the OpenADR 3.1 definition.

OpenADR's W and kW, its sign and its text forms of time appear here as they are on the wire.
"""
