#include "text/split.h"
#include "base/memory.h"
#include "text/normalize.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* An expression comes with a file, so it may be made to run for ever: bounds for one match. */
#define MAX_EXPRESSION_BYTES 4096
#define MAX_MATCH_STEPS 20000000
#define MAX_MATCH_KIB (256 << 10)

/* PCRE2 takes U+180E for white space as Unicode once did; to the published expressions it is a
   format character. So they are shown another of these, as long in UTF-8. */
#define NO_SPACE "\xe1\xa0\x8e"
#define STAND_IN "\xe2\x80\x8b"

struct run {
    const struct split *split;
    const char *text, *shown; /* the same place in the text, and in what the expressions see */
    pcre2_match_data *match;
    split_take *take;
    void *arg;
    struct error *err;
};

int split_add(struct split *s, const char *expression, struct error *err)
{
    if (s->count == SPLIT_MAX_STAGES || strlen(expression) > MAX_EXPRESSION_BYTES)
        return error_set(err, ERROR_LIMIT, "more than %d split expressions, or one of %d bytes",
                         SPLIT_MAX_STAGES, MAX_EXPRESSION_BYTES);
    int code;
    PCRE2_SIZE at;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!compiled) {
        PCRE2_UCHAR message[128] = "";
        pcre2_get_error_message(code, message, sizeof message);
        return error_set(err, ERROR_FORMAT, "split expression, at %zu: %s", (size_t)at,
                         (const char *)message);
    }
    if (!s->limits)
        s->limits = pcre2_match_context_create(NULL);
    char *copy = memory_strdup(expression);
    if (!s->limits || !copy) {
        memory_free(copy);
        pcre2_code_free(compiled);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    pcre2_set_match_limit(s->limits, MAX_MATCH_STEPS);
    pcre2_set_heap_limit(s->limits, MAX_MATCH_KIB);
    s->expressions[s->count] = copy;
    s->compiled[s->count++] = compiled;
    return 0;
}

void split_release(struct split *s)
{
    for (int i = 0; i < s->count; i++) {
        memory_free(s->expressions[i]);
        pcre2_code_free(s->compiled[i]);
    }
    pcre2_match_context_free(s->limits);
    *s = (struct split){0};
}

static int cut(const struct run *run, int stage, const char *text, size_t length);

/* Where the expression of a stage matches next, from `at` on; nothing more: both are length. */
static int find(const struct run *run, int stage, const char *text, size_t length, size_t at,
                size_t *begin, size_t *end)
{
    int found = pcre2_match(run->split->compiled[stage], (PCRE2_SPTR)text, length, at,
                            PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, run->match, run->split->limits);
    *begin = *end = length;
    if (found == PCRE2_ERROR_NOMATCH)
        return 0;
    if (found < 0)
        return error_set(run->err, ERROR_LIMIT, "the split expression takes too long on this text");
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(run->match);
    if (place[0] < at || place[1] <= place[0]) /* \K can do that */
        return error_set(run->err, ERROR_FORMAT, "the split expression matches backwards");
    *begin = place[0];
    *end = place[1];
    return 0;
}

static int cut_stage(const struct run *run, int stage, const char *text, size_t length)
{
    for (size_t at = 0, begin, end; at < length; at = end) {
        int rc = find(run, stage, text, length, at, &begin, &end);
        if (!rc)
            rc = cut(run, stage + 1, text + at, begin - at);
        if (!rc)
            rc = cut(run, stage + 1, text + begin, end - begin);
        if (rc)
            return rc;
    }
    return 0;
}

static int cut(const struct run *run, int stage, const char *text, size_t length)
{
    if (!length)
        return 0;
    if (stage == run->split->count)
        return run->take(run->arg, run->text + (text - run->shown), length);
    return cut_stage(run, stage, text, length);
}

/* A copy of the text with stand-ins. */
static char *copy_shown(const char *text, size_t length)
{
    char *shown = memory_new(length, 1), *at;
    if (!shown)
        return NULL;
    memcpy(shown, text, length);
    for (size_t left = length; (at = memmem(shown + length - left, left, NO_SPACE, 3)) != NULL;) {
        memcpy(at, STAND_IN, 3);
        left = length - (size_t)(at + 3 - shown);
    }
    return shown;
}

static int run_over(struct run *run, size_t length)
{
    const char *text = run->shown;
    int rc = 0;
    while (length && !rc) {
        size_t valid = normalize_valid(text, length), taken = valid ? valid : 1;
        rc = valid ? cut(run, 0, text, valid)
                   : run->take(run->arg, run->text + (text - run->shown), 1);
        text += taken;
        length -= taken;
    }
    return rc;
}

int split_run(const struct split *s, const char *text, size_t length, split_take *take, void *arg,
              struct error *err)
{
    char *copy = NULL;
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    bool copies = memmem(text, length, NO_SPACE, 3) != NULL;
    if (copies)
        copy = copy_shown(text, length);
    struct run run = {s, text, copies ? copy : text, match, take, arg, err};
    int rc = !match || (copies && !copy) ? error_set(err, ERROR_MEMORY, "out of memory")
                                         : run_over(&run, length);
    memory_free(copy);
    pcre2_match_data_free(match);
    return rc;
}
