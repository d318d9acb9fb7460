/*
 * models_continue MODEL PROMPTS.txt REFERENCE.safetensors
 *
 * Tokenizes each prompt and continues it greedily, with the KV cache, as far as reference.py's
 * transformers did on the same weights. In F32 all ids must be the same; in the fast mode (bf16
 * products, 8-bit rows on block types) it is only counted how often they are. Of a first difference
 * the logits are told: by how little did it lose there, by how little here?
 */
#include "check.h"

#include "models/llama.h"
#include "text/tokenizer.h"

enum { MOST_IDS = 4096 };

struct continued {
    int equal;          /* ids, from the first */
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

/* Stops at the first difference. */
static struct continued follow(struct llama *m, struct compute *c, const int32_t *prompt,
                               int length, const float *wanted, int tokens)
{
    struct continued result = {0};
    struct kv_cache cache;
    struct error err;
    int32_t id, position[MOST_IDS];
    check(kv_cache_init(&cache, m->config.layers, 1, length + tokens,
                        m->config.kv_heads * m->config.head_dim, &err),
          &err);
    for (int i = 0; i < length + tokens; i++)
        position[i] = i;
    for (int at = 0; result.equal < tokens; at += at ? 1 : length) {
        size_t mark = arena_mark(c->arena);
        int rows_now = at ? 1 : length;
        struct llama_rows rows = {.spans = &(struct span){0, rows_now},
                                  .sequences = 1,
                                  .position = position + at,
                                  .cache = &cache,
                                  .past = at > 0};
        struct tensor *x = llama_embed(m, c, at ? &id : prompt, rows_now);
        x = llama_forward(m, NULL, c, x, &rows);
        x = llama_head(m, c, op_slice_rows(c, x, rows_now - 1, 1));
        id = best(x->data, m->config.vocab);
        int32_t theirs = (int32_t)wanted[result.equal];
        result.ours = x->data[id];
        result.theirs = x->data[theirs];
        arena_rewind(c->arena, mark);
        if (id != theirs)
            break;
        result.equal++;
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

struct totals {
    int prompts, tokenized, same[2];
};

static void one_prompt(struct totals *totals, struct llama *m, struct compute *c,
                       const struct tokenizer *t, const struct weights *w, const char *line)
{
    static const char *const mode[] = {"f32", "fast"};
    struct stored_tensor shape, tokens;
    int32_t ids[MOST_IDS];
    int index = totals->prompts++;
    float *prompt = reference(w, index, "prompt", &shape);
    float *wanted = reference(w, index, "continued", &tokens);
    float *margin = reference(w, index, "margin", &tokens);
    int length = tokenize(t, ids, line);
    bool same = length == shape.count;
    for (int i = 0; i < length && same; i++)
        same = ids[i] == (int32_t)prompt[i];
    totals->tokenized += same;
    for (int i = 0; i < shape.count && i < MOST_IDS / 2; i++)
        ids[i] = (int32_t)prompt[i];
    for (int p = 0; p < 2; p++) {
        c->precision = p ? PRECISION_BF16 : PRECISION_F32;
        struct continued r = follow(m, c, ids, (int)shape.count, wanted, (int)tokens.count);
        totals->same[p] += r.equal == tokens.count;
        if (r.equal < tokens.count)
            printf("# %s: prompt %d differs from token %d on: there it won by %.3g, here it lost "
                   "by %.3g\n",
                   mode[p], index + 1, r.equal + 1, margin[r.equal], r.ours - r.theirs);
        fflush(stdout);
    }
    free(prompt);
    free(wanted);
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
    good &=
        report("prompts continued as published, f32", n.same[0], n.prompts, n.same[0] == n.prompts);
    report("prompts continued as published, fast mode", n.same[1], 0, true);

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
