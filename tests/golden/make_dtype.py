#!/usr/bin/env python3
"""Prints the tables of tests/unit/tensor_dtype.c: what the package gguf (0.19.0) reads from one
block of each type (times 4: whole numbers), and what it rounds the test's input to."""
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants

D, M = 0.5, -0.75
TYPES = [  # bytes, where d is, where m is
    (T.Q8_0, 34, 0, None), (T.Q4_0, 18, 0, None), (T.Q4_1, 20, 0, 2), (T.Q5_0, 22, 0, None),
    (T.Q5_1, 24, 0, 2), (T.Q4_K, 144, 0, 2), (T.Q5_K, 176, 0, 2), (T.Q6_K, 210, 208, None)]


def table(c_type, name, values):
    numbers = ", ".join(str(int(v)) for v in values)
    print(f"static const {c_type} {name}[{len(values)}] = {{{numbers}}};")


for seed, (kind, size, d, m) in enumerate(TYPES, start=1):
    block = np.array([(i * i * 7 + i * 37 + seed * 53 + (i >> 3) * 29) & 255 for i in range(size)],
                     dtype=np.uint8)
    block[d:d + 2] = np.frombuffer(np.float16(D).tobytes(), np.uint8)
    if m is not None:
        block[m:m + 2] = np.frombuffer(np.float16(M).tobytes(), np.uint8)
    values = quants.dequantize(block.reshape(1, -1), kind).ravel() * 4
    assert (values == np.round(values)).all()
    table("int16_t", kind.name.lower(), values)

x = np.array([((i * 73 + 19) % 201 - 100) / 64 + (0.0078125 if i % 5 == 0 else 0)
              for i in range(96)], dtype=np.float32)
x[64:] = 0
for kind in (T.Q8_0, T.Q4_0):
    table("uint8_t", "to_" + kind.name.lower(), quants.quantize(x.reshape(1, -1), kind).ravel())
