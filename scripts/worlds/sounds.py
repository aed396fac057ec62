"""The sounds: lists of samples between -1 and 1. Those that are ambient loop without a click."""

import math
import random

RATE = 22_050


def hiss(count, seed):
    dice = random.Random(seed)
    return [dice.random() * 2 - 1 for _ in range(count)]


def low(samples, cutoff):
    """A one-pole low-pass filter; `cutoff` is in hertz, or a function of the time in seconds."""
    value, out = 0.0, []
    for index, sample in enumerate(samples):
        frequency = cutoff(index / RATE) if callable(cutoff) else cutoff
        value += (1 - math.exp(-math.tau * frequency / RATE)) * (sample - value)
        out.append(value)
    return out


def high(samples, cutoff):
    return [sample - slow for sample, slow in zip(samples, low(samples, cutoff))]


def loop(samples, seconds):
    """The first `seconds`, with what follows them faded into the beginning."""
    count = int(seconds * RATE)
    tail = samples[count:]
    out = samples[:count]
    for index, sample in enumerate(tail):
        part = index / len(tail)
        out[index] = out[index] * math.sqrt(part) + sample * math.sqrt(1 - part)
    return out


def normal(samples, peak):
    largest = max(map(abs, samples))
    return [sample * peak / largest for sample in samples]


def silence(seconds):
    return [0.0] * int(seconds * RATE)


def add(target, samples, at, strength=1.0):
    start = int(at * RATE)
    for index, sample in enumerate(samples):
        if start + index < len(target):
            target[start + index] += sample * strength


def waves(seconds=10.0):
    """Three waves running up a quay wall, none like the other."""
    count = int((seconds + 1.5) * RATE)
    deep, foam = low(low(hiss(count, "deep"), 320), 320), high(low(hiss(count, "foam"), 5_200), 900)
    out = []
    for index in range(count):
        t = index / RATE
        swell = 0.0
        for begin, strength in ((-2.4, 0.8), (0.9, 1.0), (4.4, 0.75), (7.6, 0.9), (10.9, 1.0)):
            since = t - begin
            if since > 0:
                swell += strength * (since / 1.1) ** 2 * math.exp(2 - 2 * since / 1.1)
        out.append(deep[index] * (2.0 + 4.0 * swell) + foam[index] * (0.05 + 0.5 * swell))
    return normal(loop(out, seconds), 0.7)


def gulls(seconds=5.0):
    out = silence(seconds)
    for begin, cries, pitch, strength in ((0.2, 4, 1.0, 1.0), (2.5, 2, 0.86, 0.5), (3.5, 3, 1.08, 0.7)):
        for number in range(cries):
            length = 0.30 - 0.03 * number
            phase, cry = 0.0, []
            for index in range(int(length * RATE)):
                part = index / (length * RATE)
                frequency = pitch * (900 + 850 * math.sin(math.pi * part ** 0.6) - 180 * part)
                phase += math.tau * frequency / RATE
                rasp = 1 + 0.35 * math.sin(phase * 0.5) + 0.25 * math.sin(math.tau * 47 * part)
                voice = math.sin(phase) + 0.55 * math.sin(2 * phase) + 0.3 * math.sin(3 * phase)
                cry.append(voice * rasp * math.sin(math.pi * part) ** 0.7)
            add(out, cry, begin + 0.36 * number, strength * (1 - 0.12 * number))
    return normal(echo(out, 0.19, 0.22), 0.55)


def bell(seconds=6.0, note=311.0):
    """A bell's partials after the strike note: hum, prime, tierce, quint, nominal and above."""
    partials = (
        (0.5, 0.55, 3.1), (1.0, 0.7, 2.2), (1.19, 0.5, 1.7), (1.51, 0.3, 1.2), (2.0, 0.8, 0.9),
        (2.51, 0.3, 0.55), (2.66, 0.25, 0.5), (3.01, 0.3, 0.4), (4.17, 0.2, 0.25), (5.43, 0.15, 0.16),
    )
    out = silence(seconds)
    for strike, strength in ((0.0, 1.0), (2.1, 0.75)):
        blow = []
        for index in range(int((seconds - strike) * RATE)):
            t = index / RATE
            value = sum(
                level * math.exp(-t / decay) * math.sin(math.tau * note * ratio * t * (1 + 0.0006 * (number % 2)))
                for number, (ratio, level, decay) in enumerate(partials)
                if t < decay * 6
            )
            blow.append(value * min(1, t * 400) * min(1, (seconds - strike - t) * 4))
        add(out, blow, strike, strength)
    return normal(out, 0.75)


def creak(seconds=4.0):
    """Rope and timber: slow clicks through two wooden resonances."""
    dice = random.Random("creak")
    out = silence(seconds)
    for begin, length, slow, fast in ((0.1, 1.3, 26, 64), (1.9, 0.9, 70, 34), (3.0, 0.8, 30, 46)):
        place = 0.0
        while place < length:
            part = place / length
            strength = math.sin(math.pi * part) * (0.7 + 0.3 * dice.random())
            click = [
                math.exp(-i / RATE * 95) * math.sin(math.tau * 410 * i / RATE)
                + 0.6 * math.exp(-i / RATE * 140) * math.sin(math.tau * 1_130 * i / RATE)
                for i in range(int(0.05 * RATE))
            ]
            add(out, click, begin + place, strength)
            place += 1 / (slow + (fast - slow) * part) * (0.9 + 0.2 * dice.random())
    return normal(low(out, 2_600), 0.5)


def fountain(seconds=6.0):
    dice = random.Random("drops")
    count = int((seconds + 1) * RATE)
    spray, basin = high(low(hiss(count, "spray"), 4_200), 700), low(hiss(count, "basin"), 260)
    out = [0.35 * a + 0.5 * b for a, b in zip(spray, basin)]
    for _ in range(330):
        pitch, strength = 500 + 1_500 * dice.random() ** 2, 0.03 + 0.11 * dice.random() ** 3
        drop = [
            math.exp(-i / RATE * 60) * math.sin(math.tau * pitch * (1 + 3 * i / RATE) * i / RATE)
            for i in range(int(0.07 * RATE))
        ]
        add(out, drop, dice.random() * (seconds + 0.9), strength)
    return normal(loop(out, seconds), 0.5)


def birds(seconds=6.0):
    dice = random.Random("birds")
    out = silence(seconds)
    songs = ((0.3, 5, 3_400, 1.0), (1.9, 3, 2_500, 0.6), (3.1, 6, 4_100, 0.7), (4.7, 4, 2_900, 0.85))
    for begin, notes, pitch, strength in songs:
        place = begin
        for _ in range(notes):
            length, bend = 0.07 + 0.07 * dice.random(), dice.random() * 1.4 - 0.6
            phase, note = 0.0, []
            for index in range(int(length * RATE)):
                part = index / (length * RATE)
                phase += math.tau * pitch * (1 + 0.3 * bend * part + 0.05 * math.sin(math.tau * 32 * part)) / RATE
                note.append((math.sin(phase) + 0.15 * math.sin(2 * phase)) * math.sin(math.pi * part) ** 1.5)
            add(out, note, place, strength * (0.6 + 0.4 * dice.random()))
            place += length + 0.03 + 0.06 * dice.random()
    return normal(echo(out, 0.11, 0.15), 0.4)


def portal(seconds=3.0):
    """A rising shimmer for a portal that opens: fifths that beat against each other."""
    out = []
    for index in range(int(seconds * RATE)):
        t = index / RATE
        part = t / seconds
        value = 0.0
        for number, ratio in enumerate((1, 1.5, 2.003, 3.01, 4.02)):
            swell = math.sin(math.pi * min(1, max(0, part * 1.5 - 0.1 * number)))
            value += swell * math.sin(math.tau * 174 * ratio * t * (1 + 0.02 * part)) / (1 + 0.6 * number)
        out.append(value * min(1, (seconds - t) * 3))
    return normal(echo(out, 0.23, 0.3), 0.5)


def echo(samples, delay, strength):
    out = list(samples)
    step = int(delay * RATE)
    for index in range(step, len(out)):
        out[index] += out[index - step] * strength
    return out
