/*
 * models_continue MODEL PROMPTS.txt REFERENCE.safetensors
 *
 * Tokenizes each prompt and continues it greedily as far as reference.py's transformers did on the
 * same weights, three times: in F32 without a cache, where prompt and published continuation are
 * one pass, and each published id must have our largest logit behind those before it (by induction
 * that is the greedy continuation): all must agree; decoded step by step in F32; and so in the fast
 * mode (bf16 products, 8-bit rows on block types). A KV cache in bfloat16 rounds, so that near ties
 * may end otherwise: then it is only counted. Of a first difference the logits are told: by how
 * little did it win there, by how little did it lose here?
 */
#include "check.h"

#include "models/llama.h"
#include "text/tokenizer.h"

enum { MOST_IDS = 4096 };

struct continued {
    int equal;          /* ids, from the first */
    bool same;          /* the last that was looked at */
    float ours, theirs; /* our logits of our and of their id at the first that is not equal */
};

static int best(const float *logits, int n)
{
    int at = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[at])
            at = i;
    return at;
}

static void compare_row(struct continued *r, const float *logits, int vocab, int32_t theirs)
{
    int32_t id = best(logits, vocab);
    r->ours = logits[id];
    r->theirs = logits[theirs];
    r->same = id == theirs;
    r->equal += r->same;
}

/* ids: the prompt, then what is to follow. */
static struct continued in_one_pass(struct llama *m, struct compute *c, const int32_t *ids,
                                    int length, int tokens)
{
    struct continued result = {.same = true};
    int32_t position[MOST_IDS];
    size_t mark = arena_mark(c->arena);
    int rows_now = length + tokens - 1;
    for (int i = 0; i < rows_now; i++)
        position[i] = i;
    struct llama_rows rows = {
        .spans = &(struct span){0, rows_now}, .sequences = 1, .position = position};
    struct tensor *x = llama_forward(m, NULL, c, llama_embed(m, c, ids, rows_now), &rows);
    x = llama_head(m, c, op_slice_rows(c, x, length - 1, tokens));
    for (int i = 0; i < tokens && result.same; i++)
        compare_row(&result, x->data + (int64_t)i * m->config.vocab, m->config.vocab,
                    ids[length + i]);
    arena_rewind(c->arena, mark);
    return result;
}

/* With the cache; stops at the first difference. */
static struct continued step_by_step(struct llama *m, struct compute *c, const int32_t *ids,
                                     int length, int tokens)
{
    struct continued result = {.same = true};
    struct kv_cache cache;
    struct error err;
    int32_t position[MOST_IDS];
    check(kv_cache_init(&cache, m->config.layers, 1, length + tokens,
                        m->config.kv_heads * m->config.head_dim, &err),
          &err);
    for (int i = 0; i < length + tokens; i++)
        position[i] = i;
    for (int at = 0; result.same && result.equal < tokens; at += at ? 1 : length) {
        size_t mark = arena_mark(c->arena);
        int rows_now = at ? 1 : length;
        struct llama_rows rows = {.spans = &(struct span){0, rows_now},
                                  .sequences = 1,
                                  .position = position + at,
                                  .cache = &cache,
                                  .past = at > 0};
        struct tensor *x = llama_embed(m, c, ids + at, rows_now);
        x = llama_forward(m, NULL, c, x, &rows);
        x = llama_head(m, c, op_slice_rows(c, x, rows_now - 1, 1));
        compare_row(&result, x->data, m->config.vocab, ids[at + rows_now]);
        arena_rewind(c->arena, mark);
    }
    kv_cache_release(&cache);
    return result;
}

static int tokenize(const struct tokenizer *t, int32_t *ids, const char *line)
{
    struct error err;
    size_t length = strlen(line);
    if (length + 1 > MOST_IDS / 2) {
        fprintf(stderr, "a prompt is longer than %d bytes\n", MOST_IDS / 2);
        exit(2);
    }
    int64_t n = tokenizer_encode(t, ids, line, length, &err);
    check(n < 0 ? (int)n : 0, &err);
    return (int)n;
}

enum way { ONE_PASS_F32, STEPS_F32, STEPS_FAST, WAYS };
static const char *const way_names[WAYS] = {"f32, one pass", "f32, step by step",
                                            "fast, step by step"};

struct totals {
    int prompts, tokenized, same[WAYS];
};

static void one_prompt(struct totals *totals, struct llama *m, struct compute *c,
                       const struct tokenizer *t, const struct weights *w, const char *line)
{
    struct stored_tensor shape, tokens;
    int32_t ids[MOST_IDS], wanted[MOST_IDS];
    int index = totals->prompts++;
    float *prompt = reference(w, index, "prompt", &shape);
    float *continued = reference(w, index, "continued", &tokens);
    float *margin = reference(w, index, "margin", &tokens);
    int n = (int)tokens.count, length = tokenize(t, ids, line);
    if (shape.count + n > MOST_IDS) {
        fprintf(stderr, "%s: too long a prompt\n", weights_path(w));
        exit(2);
    }
    for (int i = 0; i < shape.count + n; i++)
        wanted[i] = (int32_t)(i < shape.count ? prompt[i] : continued[i - shape.count]);
    totals->tokenized +=
        length == shape.count && memcmp(ids, wanted, (size_t)length * sizeof *ids) == 0;
    length = (int)shape.count;
    for (int way = 0; way < WAYS; way++) {
        c->precision = way == STEPS_FAST ? PRECISION_BF16 : PRECISION_F32;
        struct continued r = way == ONE_PASS_F32 ? in_one_pass(m, c, wanted, length, n)
                                                 : step_by_step(m, c, wanted, length, n);
        totals->same[way] += r.equal == n;
        if (r.equal < n)
            printf("# %s: prompt %d differs from token %d on: there it won by %.3g, here it lost "
                   "by %.3g\n",
                   way_names[way], index + 1, r.equal + 1, margin[r.equal], r.ours - r.theirs);
        fflush(stdout);
    }
    free(prompt);
    free(continued);
    free(margin);
}

static struct totals all_prompts(struct llama *m, struct compute *c, const struct tokenizer *t,
                                 const char *prompts, const struct weights *w)
{
    struct totals totals = {0};
    char line[MOST_IDS];
    FILE *f = fopen(prompts, "r");
    if (!f) {
        perror(prompts);
        exit(2);
    }
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        one_prompt(&totals, m, c, t, w, line);
    }
    fclose(f);
    return totals;
}

int main(int argc, char **argv)
{
    struct error err;
    struct part *part;
    struct weights *w;
    struct tokenizer *t;
    struct llama m;
    struct param_list list;
    struct arena arena;
    struct recognizer_config config;
    if (argc != 4)
        return fprintf(stderr, "usage: models_continue MODEL PROMPTS.txt REFERENCE.safetensors\n"),
               2;
    config_default(&config);
    check(part_open(&part, PART_LLM, argv[1], &err), &err);
    check(part_config(part, &config, &err), &err);
    check(part_tokenizer(part, &t, &err), &err);
    check(llama_init(&m, &config.llm, &err), &err);
    param_list_init(&list, &err);
    llama_params(&m, &list.visitor);
    load_part(part, &list);
    check(weights_open(&w, argv[3], &err), &err);
    check(arena_init(&arena, (size_t)4 << 30, &err), &err);
    struct compute c = {.device = &device_cpu, .arena = &arena};

    struct totals n = all_prompts(&m, &c, t, argv[2], w);
    const struct kv_cache *cache = NULL;
    bool exact_cache = sizeof *cache->keys == sizeof(float);
    bool good =
        report("prompts with the published ids", n.tokenized, n.prompts, n.tokenized == n.prompts);
    for (int way = 0; way < WAYS; way++) {
        bool must = way == ONE_PASS_F32 || (way == STEPS_F32 && exact_cache);
        char what[64];
        snprintf(what, sizeof what, "prompts continued as published, %s", way_names[way]);
        if (must)
            good &= report(what, n.same[way], n.prompts, n.same[way] == n.prompts);
        else
            printf("%s\t%d of %d\t-\tcounted\n", what, n.same[way], n.prompts);
    }

    struct param_visitor releaser;
    param_releaser_init(&releaser);
    llama_params(&m, &releaser);
    llama_release(&m);
    param_list_release(&list);
    tokenizer_free(t);
    weights_close(w);
    part_close(part);
    arena_release(&arena);
    return good ? 0 : 1;
}
