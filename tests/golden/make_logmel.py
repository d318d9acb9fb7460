"""Makes logmel.bin: a second of made-up sound and its log-mel by transformers' WhisperFeatureExtractor.

    pip install numpy torch transformers && python tests/golden/make_logmel.py tests/golden/logmel.bin

Layout (little-endian): "LOGMEL01", int32 samples, frames, step; int16 pcm[samples]; then float32
[frames, 80] and [frames, 128] without padding, and every step-th frame of the 3000 of the
80 mels padded to 30 s.
"""
import sys
import numpy as np
from transformers import WhisperFeatureExtractor

SAMPLES, STEP = 14450, 60


def sound():
    """A vowel-like sweep, a pause with faint noise, a loud hiss, a click: all levels that matter."""
    t = np.arange(SAMPLES) / 16000
    rng = np.random.default_rng(7)
    x = sum(np.sin(2 * np.pi * h * (110 * t + 25 * t**2)) / h**1.5 for h in range(1, 30)) * 0.25
    x[6000:9000] = 1e-3 * rng.standard_normal(3000)
    x[9000:12000] += 0.3 * rng.standard_normal(3000)
    x[12000] = 0.9
    return np.round(np.clip(x, -1, 1) * 32767).astype("<i2")


def logmel(pcm, mels, padded):
    extractor = WhisperFeatureExtractor(feature_size=mels)
    if padded:
        pcm = np.pad(pcm, (0, 480000 - len(pcm)))
    exact = extractor._np_extract_fbank_features(pcm[None], "cpu")[0].T
    usual = extractor._torch_extract_fbank_features(pcm[None])[0].T
    print(mels, padded, exact.shape, "numpy against torch:", np.abs(exact - usual).max())
    return exact.astype("<f4")


pcm = sound()
wave = pcm.astype(np.float32) / 32768
m80, m128 = logmel(wave, 80, False), logmel(wave, 128, False)
long80 = logmel(wave, 80, True)[::STEP]
with open(sys.argv[1], "wb") as f:
    f.write(b"LOGMEL01")
    f.write(np.array([SAMPLES, len(m80), STEP], "<i4").tobytes())
    for block in (pcm, m80, m128, long80):
        f.write(np.ascontiguousarray(block).tobytes())
