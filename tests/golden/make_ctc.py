#!/usr/bin/env python3
"""Writes tests/golden/ctc_numbers.h: the losses of five sequences, and the gradient of their
weighted sum, by torch.nn.functional.ctc_loss (PyTorch 2) in float64. The logits are a formula,
exact in float32, the same as in tests/golden/tensor_ctc.c."""
import torch

ROWS, WIDTH, BLANK = 31, 7, 3
SPANS = [(0, 9), (9, 4), (14, 2), (17, 6), (23, 8)]  # rows 13 and 16 are of none
LABELS = [[1, 1, 6, 6], [], [2, 2], [5, 0, 5], [4, 4, 4, 0]]  # the third has no path
WEIGHT = [0.5, 1.25, 3.0, -0.75, 2.0]

logits = torch.tensor([[((r * 73 + k * 19 + r * k * 7 + 5) % 201 - 100) / 32 for k in range(WIDTH)]
                       for r in range(ROWS)], dtype=torch.float64, requires_grad=True)
losses = []
for (start, length), labels in zip(SPANS, LABELS):
    log_y = logits[start:start + length].log_softmax(1).unsqueeze(1)
    losses.append(torch.nn.functional.ctc_loss(
        log_y, torch.tensor([labels], dtype=torch.long).reshape(1, -1), [length], [len(labels)],
        blank=BLANK, reduction="sum", zero_infinity=True))
sum(w * loss for w, loss in zip(WEIGHT, losses)).backward()


def table(name, values):
    numbers = [f"{v:.9g}" + ("" if v % 1 else ".0") for v in values]
    lines = [", ".join(numbers[i:i + WIDTH]) for i in range(0, len(numbers), WIDTH)]
    return f"static const double {name}[] = {{\n    " + ",\n    ".join(lines) + "};\n"


with open("tests/golden/ctc_numbers.h", "w") as out:
    out.write("/* Made by tests/golden/make_ctc.py. */\n/* clang-format off */\n")
    out.write(table("losses", [loss.item() for loss in losses]))
    out.write(table("gradient", logits.grad.flatten().tolist()))
