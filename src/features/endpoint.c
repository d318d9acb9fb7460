#include "features/endpoint.h"
#include "base/memory.h"
#include "features/segment.h"

#include <assert.h>

#define BEGINS 0.5f
#define GOES_ON 0.35f

struct endpoint {
    struct endpoint_options options;
    int64_t frames; /* seen */
    bool speaking;
    int64_t start;   /* of the utterance; where none is, of what may belong to the next */
    int64_t overlap; /* of it with the one before */
    int64_t last;    /* frame with speech */
    int64_t voiced;  /* its frames with speech */
    int run;         /* the last frames that are speech, one after the other */
    bool *speech;    /* [longest], of the utterance's frames */
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int endpoint_new(struct endpoint **out, const struct endpoint_options *options, struct error *err)
{
    assert(options->margin <= options->pause &&
           options->margin + ENDPOINT_ONSET < options->longest);
    struct endpoint *e = *out = memory_new(1, sizeof *e);
    if (e)
        e->speech = memory_new((size_t)options->longest, sizeof *e->speech);
    if (!e || !e->speech) {
        endpoint_free(e);
        *out = NULL;
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    e->options = *options;
    return 0;
}

void endpoint_free(struct endpoint *e)
{
    if (e)
        memory_free(e->speech);
    memory_free(e);
}

/* From frame `start` on somebody speaks. */
static void begin(struct endpoint *e)
{
    int64_t first = e->frames - e->run;
    e->speaking = true;
    e->start = larger(e->start, first - e->options.margin);
    for (int64_t f = e->start; f < e->frames; f++)
        e->speech[f - e->start] = f >= first;
    e->voiced = e->run;
    e->last = e->frames - 1;
}

/* The utterance up to frame `end`; what follows belongs to the next. */
static bool end_at(struct endpoint *e, int64_t end, struct endpoint_span *span)
{
    bool good = e->voiced >= ENDPOINT_LEAST;
    end = larger(end, e->start); /* all its speech may lie before a cut */
    *span = (struct endpoint_span){e->start, end - e->start, e->overlap, 0};
    e->speaking = false;
    e->start = end;
    e->overlap = 0;
    e->run = 0;
    return good;
}

/* The utterance is as long as it may be. */
static bool cut(struct endpoint *e, struct endpoint_span *span)
{
    int64_t count = e->frames - e->start;
    int64_t at = segment_pause(e->speech, count, ENDPOINT_BREATH);
    int64_t overlap = at ? 0 : segment_overlap(e->options.longest);
    int64_t kept = at ? count - at : overlap; /* frames that the next has already */
    bool good = e->voiced >= ENDPOINT_LEAST;
    *span = (struct endpoint_span){e->start, at ? at : count, e->overlap, overlap};
    e->start = e->frames - kept;
    e->overlap = overlap;
    e->voiced = 0;
    for (int64_t i = 0; i < kept; i++) {
        e->speech[i] = e->speech[count - kept + i];
        e->voiced += e->speech[i];
    }
    return good;
}

bool endpoint_push(struct endpoint *e, float probability, struct endpoint_span *span)
{
    bool speech = probability > (e->speaking ? GOES_ON : BEGINS);
    if (!e->speaking) {
        e->run = speech ? e->run + 1 : 0;
        e->frames++;
        if (e->run == ENDPOINT_ONSET)
            begin(e);
        return false;
    }
    e->speech[e->frames - e->start] = speech;
    e->voiced += speech;
    if (speech)
        e->last = e->frames;
    e->frames++;
    if (e->frames - 1 - e->last >= e->options.pause)
        return end_at(e, e->last + 1 + e->options.margin, span);
    return e->frames - e->start == e->options.longest && cut(e, span);
}

bool endpoint_finish(struct endpoint *e, struct endpoint_span *span)
{
    return e->speaking && end_at(e, smaller(e->frames, e->last + 1 + e->options.margin), span);
}

bool endpoint_open(const struct endpoint *e, struct endpoint_span *span)
{
    *span = (struct endpoint_span){e->start, e->frames - e->start, e->overlap, 0};
    return e->speaking && e->voiced >= ENDPOINT_LEAST;
}

int64_t endpoint_needed(const struct endpoint *e)
{
    return e->speaking ? e->start : larger(e->start, e->frames - e->run - e->options.margin);
}
