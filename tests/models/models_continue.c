/*
 * models_continue MODEL PROMPTS.txt REFERENCE.safetensors
 *
 * Tokenizes each prompt and continues it greedily as far as reference.py's transformers did on the
 * same weights, step by step with the KV cache: in F32 all ids must be the same; in the fast mode
 * (bf16 products and cache, 8-bit rows on block types) near ties may end otherwise, so it is only
 * counted. Of a first difference the logits are told: by how little did it win there, by how little
 * did it lose here?
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

/* ids: the prompt, then what is to follow. Stops at the first difference. */
static struct continued step_by_step(struct llama *m, struct compute *c, const int32_t *ids,
                                     int length, int tokens)
{
    struct continued result = {.same = true};
    struct kv_cache cache;
    struct error err;
    int32_t position[MOST_IDS];
    check(kv_cache_init(&cache, m->config.layers, 1, length + tokens,
                        m->config.kv_heads * m->config.head_dim,
                        c->precision == PRECISION_F32 ? DTYPE_F32 : DTYPE_BF16, &err),
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

enum way { EXACT, FAST, WAYS };
static const char *const way_names[WAYS] = {"f32", "fast"};

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
        c->precision = way == FAST ? PRECISION_BF16 : PRECISION_F32;
        struct continued r = step_by_step(m, c, wanted, length, n);
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
    bool good =
        report("prompts with the published ids", n.tokenized, n.prompts, n.tokenized == n.prompts);
    good &= report("prompts continued as published, f32", n.same[EXACT], n.prompts,
                   n.same[EXACT] == n.prompts);
    printf("prompts continued as published, fast\t%d of %d\t-\tcounted\n", n.same[FAST], n.prompts);

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
