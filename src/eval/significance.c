#include "eval/significance.h"
#include "base/memory.h"
#include "base/random.h"
#include "eval/wer.h"

#include <stdlib.h>

static double rate(int64_t errors, int64_t words)
{
    return errors ? (double)errors / (double)(words ? words : 1) : 0;
}

/* Share of exchanges whose difference is at least as large. Clips that do not differ change
   nothing; one random word decides for 64 of the others. */
static double exchange(const int64_t *differences, int64_t count, struct random *random)
{
    int64_t seen = 0, as_large = 1;
    for (int64_t i = 0; i < count; i++)
        seen += differences[i];
    for (int trial = 0; trial < SIGNIFICANCE_TRIALS; trial++) {
        int64_t sum = 0;
        uint64_t bits = 0;
        for (int64_t i = 0; i < count; i++) {
            bits = i % 64 ? bits >> 1 : random_next(random);
            sum += bits & 1 ? differences[i] : -differences[i];
        }
        as_large += llabs(sum) >= llabs(seen);
    }
    return (double)as_large / (SIGNIFICANCE_TRIALS + 1);
}

static void resample(double *differences, const struct paired_utterance *utterances, int64_t count,
                     struct random *random)
{
    for (int trial = 0; trial < SIGNIFICANCE_TRIALS; trial++) {
        int64_t words = 0, difference = 0;
        for (int64_t i = 0; i < count; i++) {
            const struct paired_utterance *u = &utterances[random_below(random, count)];
            words += u->words;
            difference += u->errors_b - u->errors_a;
        }
        differences[trial] = rate(difference, words);
    }
}

int significance_test(struct significance *s, const struct paired_utterance *utterances,
                      int64_t count, uint64_t seed, struct error *err)
{
    struct random random;
    struct wer_interval interval;
    int64_t words = 0, errors_a = 0, errors_b = 0, differ = 0;
    int64_t *differences = memory_new((size_t)count + 1, sizeof *differences);
    double *resampled = memory_new(SIGNIFICANCE_TRIALS, sizeof *resampled);
    int rc = differences && resampled ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
    *s = (struct significance){.clips = count};
    for (int64_t i = 0; !rc && i < count; i++) {
        const struct paired_utterance *u = &utterances[i];
        words += u->words;
        errors_a += u->errors_a;
        errors_b += u->errors_b;
        s->better_a += u->errors_a < u->errors_b;
        s->better_b += u->errors_b < u->errors_a;
        if (u->errors_a != u->errors_b)
            differences[differ++] = u->errors_b - u->errors_a;
    }
    if (!rc) {
        s->wer_a = rate(errors_a, words);
        s->wer_b = rate(errors_b, words);
        s->difference = rate(errors_b - errors_a, words);
        random_seed(&random, seed);
        s->p = exchange(differences, differ, &random);
        resample(resampled, utterances, count, &random);
        wer_interval_of(&interval, resampled, SIGNIFICANCE_TRIALS);
        s->low = interval.low;
        s->high = interval.high;
    }
    memory_free(resampled);
    memory_free(differences);
    return rc;
}
