/*
 * config.json and struct recognizer_config, by tables: one row a key, with its place in the struct
 * and its limits. Reading, writing and checking all walk the same tables.
 */
#include "models/config.h"

#include "base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum field_type { FIELD_INT, FIELD_FLOAT, FIELD_BOOL, FIELD_TEXT, FIELD_PLACEMENT, FIELD_INTS };

struct field {
    const char *key;
    enum field_type type;
    size_t offset;
    double least, most;
    size_t count_offset; /* FIELD_INTS: where the number of elements is ... */
    int count;           /* ... or, if not 0, how many there are */
};

static const char *const placements[MOME_PLACEMENTS] = {"none", "mhsa", "ffn", "layer"};

#define AT(member) offsetof(struct recognizer_config, member)
#define INT(key, member, least, most)                                                              \
    {                                                                                              \
        key, FIELD_INT, AT(member), least, most, 0, 0                                              \
    }
#define FLOAT(key, member, least, most)                                                            \
    {                                                                                              \
        key, FIELD_FLOAT, AT(member), least, most, 0, 0                                            \
    }
#define BOOL(key, member)                                                                          \
    {                                                                                              \
        key, FIELD_BOOL, AT(member), 0, 1, 0, 0                                                    \
    }
#define TEXT(key, member)                                                                          \
    {                                                                                              \
        key, FIELD_TEXT, AT(member), 0, sizeof((struct recognizer_config *)0)->member, 0, 0        \
    }

static const struct field audio_fields[] = {
    INT("mels", audio.mels, 1, 512),
    INT("d", audio.d, 4, 8192),
    INT("layers", audio.layers, 1, 256),
    INT("heads", audio.heads, 1, 256),
    INT("ffn", audio.ffn, 1, 65536),
    INT("positions", audio.positions, 1, 100000),
    BOOL("exact_window", audio.exact_window),
    FLOAT("dropout", audio.dropout, 0, 0.9),
    {0},
};

static const struct field video_fields[] = {
    INT("stem", video.stem, 1, 2048),
    {"widths", FIELD_INTS, AT(video.widths), 1, 8192, 0, 4},
    {"blocks", FIELD_INTS, AT(video.blocks), 1, 64, 0, 4},
    INT("d", video.d, 4, 8192),
    INT("layers", video.layers, 1, 256),
    INT("heads", video.heads, 1, 256),
    INT("ffn", video.ffn, 1, 65536),
    INT("position_kernel", video.position_kernel, 1, 1024),
    INT("position_groups", video.position_groups, 1, 8192),
    BOOL("audio_branch_zeros", video.audio_branch_zeros),
    FLOAT("dropout", video.dropout, 0, 0.9),
    {0},
};

static const struct field projector_fields[] = {
    INT("hidden", projector.hidden, 1, 65536),
    BOOL("norm", projector.norm),
    BOOL("stack", projector.stack),
    {"audio_rates", FIELD_INTS, AT(projector.audio_rates), 1, 1000, AT(projector.audio_rate_count),
     0},
    {"video_rates", FIELD_INTS, AT(projector.video_rates), 1, 1000, AT(projector.video_rate_count),
     0},
    {0},
};

static const struct field llm_fields[] = {
    INT("vocab", llm.vocab, 1, 1 << 20),
    INT("d", llm.d, 2, 32768),
    INT("layers", llm.layers, 1, 512),
    INT("heads", llm.heads, 1, 512),
    INT("kv_heads", llm.kv_heads, 1, 512),
    INT("head_dim", llm.head_dim, 2, 512),
    INT("ffn", llm.ffn, 1, 1 << 18),
    FLOAT("rope_theta", llm.rope_theta, 1, 1e9),
    FLOAT("norm_eps", llm.norm_eps, 1e-12, 1),
    FLOAT("rope_factor", llm.rope_factor, 1, 1e4),
    FLOAT("rope_low", llm.rope_low, 0, 1e6),
    FLOAT("rope_high", llm.rope_high, 0, 1e6),
    INT("rope_original", llm.rope_original, 1, 1 << 24),
    BOOL("tied", llm.tied),
    BOOL("qkv_bias", llm.qkv_bias),
    INT("extra_tokens", llm.extra_tokens, 0, 1024),
    INT("extra_from", llm.extra_from, 0, 1 << 20),
    FLOAT("dropout", llm.dropout, 0, 0.9),
    {0},
};

static const struct field mome_fields[] = {
    {"placement", FIELD_PLACEMENT, AT(mome.placement), 0, 0, 0, 0},
    INT("routed", mome.routed, 0, 1024),
    INT("active", mome.active, 0, 1024),
    INT("shared", mome.shared, 0, 1024),
    INT("bottleneck", mome.bottleneck, 1, 8192),
    BOOL("biases", mome.biases),
    BOOL("renormalise", mome.renormalise),
    BOOL("normalise_input", mome.normalise_input),
    BOOL("separate_routers", mome.separate_routers),
    {0},
};

static const struct field lora_fields[] = {
    INT("inner", lora.inner, 0, 8192),
    FLOAT("scale", lora.scale, 0, 1000),
    BOOL("global", lora.global),
    BOOL("per_rate", lora.per_rate),
    {0},
};

static const struct field video_lora_fields[] = {
    INT("inner", video_lora.inner, 0, 8192),
    FLOAT("scale", video_lora.scale, 0, 1000),
    {0},
};

static const struct field text_fields[] = {
    TEXT("bos", bos),
    TEXT("eos", eos),
    FLOAT("longest_seconds", longest_seconds, 0, 3600),
    FLOAT("ctc_weight", ctc_weight, 0, 0.99),
    FLOAT("least_confidence", least_confidence, 0, 1),
    TEXT("prompt_asr", prompts[TASK_ASR]),
    TEXT("prompt_vsr", prompts[TASK_VSR]),
    TEXT("prompt_avsr", prompts[TASK_AVSR]),
    {0},
};

static const struct field part_fields[] = {
    TEXT("audio", parts[0]),
    TEXT("video", parts[1]),
    TEXT("llm", parts[2]),
    {0},
};

/* The sections of the file, in order. `present`: may be null in the file, then false. */
static const struct section {
    const char *key;
    const struct field *fields;
    bool optional;
    size_t present;
} sections[] = {
    {"audio", audio_fields, true, AT(has_audio)},
    {"video", video_fields, true, AT(has_video)},
    {"projector", projector_fields, false, 0},
    {"llm", llm_fields, false, 0},
    {"mome", mome_fields, false, 0},
    {"lora", lora_fields, false, 0},
    {"video_lora", video_lora_fields, false, 0},
    {"text", text_fields, false, 0},
    {"parts", part_fields, true, AT(has_parts)},
};
enum { SECTIONS = sizeof sections / sizeof *sections };

void config_default(struct recognizer_config *config)
{
    *config = (struct recognizer_config){
        .has_audio = true,
        .has_video = true,
        .audio = {.mels = 80, .d = 128, .layers = 4, .heads = 4, .ffn = 512, .positions = 1500},
        .video = {.stem = 16,
                  .widths = {16, 32, 64, 128},
                  .blocks = {1, 1, 1, 1},
                  .d = 128,
                  .layers = 3,
                  .heads = 4,
                  .ffn = 512,
                  .position_kernel = 31,
                  .position_groups = 16},
        .projector = {.hidden = 256,
                      .norm = true,
                      .audio_rates = {4, 16},
                      .audio_rate_count = 2,
                      .video_rates = {2, 5},
                      .video_rate_count = 2},
        .llm = {.d = 192,
                .layers = 4,
                .heads = 6,
                .kv_heads = 2,
                .head_dim = 32,
                .ffn = 512,
                .rope_theta = 10000,
                .norm_eps = 1e-5f,
                .rope_factor = 1,
                .rope_low = 1,
                .rope_high = 4,
                .rope_original = 8192,
                .tied = true},
        .mome = {.placement = MOME_MHSA,
                 .routed = 23,
                 .active = 4,
                 .shared = 1,
                 .bottleneck = 12,
                 .biases = true},
        .lora = {.scale = 0.125f, .global = true},
        .video_lora = {.scale = 2},
        .bos = "<|begin_of_text|>",
        .eos = "<|end_of_text|>",
    };
    for (int t = 0; t < TASK_COUNT; t++)
        snprintf(config->prompts[t], CONFIG_MAX_TEXT, "%s", task_prompt((enum task)t));
}

int config_pair_count(const struct recognizer_config *config)
{
    int audio = config->has_audio ? config->projector.audio_rate_count : 0;
    int video = config->has_video ? config->projector.video_rate_count : 0;
    return (audio + 1) * (video + 1) - 1;
}

int config_finest_rate(const int *rates, int count)
{
    int least = rates[0];
    for (int i = 1; i < count; i++)
        least = rates[i] < least ? rates[i] : least;
    return least;
}

int config_pair(const struct recognizer_config *config, int audio, int video)
{
    int rates = config->has_video ? config->projector.video_rate_count : 0;
    return (audio + 1) * (rates + 1) + video + 1;
}

/* ---- checking ---------------------------------------------------------------------------- */

static const void *place(const struct recognizer_config *config, size_t offset)
{
    return (const char *)config + offset;
}

static int field_count(const struct recognizer_config *config, const struct field *f)
{
    if (f->type != FIELD_INTS)
        return 1;
    return f->count ? f->count : *(const int *)place(config, f->count_offset);
}

static int check_field(const struct recognizer_config *config, const struct section *s,
                       const struct field *f, const char *file, struct error *err)
{
    if (f->type == FIELD_BOOL || f->type == FIELD_TEXT || f->type == FIELD_PLACEMENT)
        return 0;
    int count = field_count(config, f);
    if (count < 0 || count > CONFIG_MAX_RATES)
        return error_set(err, ERROR_FORMAT, "%s: \"%s.%s\" has %d elements, at most %d are allowed",
                         file, s->key, f->key, count, CONFIG_MAX_RATES);
    for (int i = 0; i < count; i++) {
        double x = f->type == FIELD_FLOAT ? ((const float *)place(config, f->offset))[i]
                                          : ((const int *)place(config, f->offset))[i];
        if (!(x >= (float)f->least && x <= (float)f->most))
            return error_set(err, ERROR_FORMAT, "%s: \"%s.%s\" is %g, it must be %.10g to %.10g",
                             file, s->key, f->key, x, f->least, f->most);
    }
    return 0;
}

static int check_rates(const int *rates, int count, const char *key, const char *file,
                       struct error *err)
{
    if (count == 0)
        return error_set(err, ERROR_FORMAT, "%s: \"projector.%s\" is empty", file, key);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < i; j++)
            if (rates[i] == rates[j])
                return error_set(err, ERROR_FORMAT, "%s: \"projector.%s\" has %d twice", file, key,
                                 rates[i]);
    return 0;
}

static int check_divides(int divisor, int number, const char *what, const char *file,
                         struct error *err)
{
    if (number % divisor == 0)
        return 0;
    return error_set(err, ERROR_FORMAT, "%s: %s: %d does not divide %d", file, what, divisor,
                     number);
}

static int check_mome(const struct mome_config *m, const char *file, struct error *err)
{
    if (m->placement == MOME_NONE)
        return 0;
    if (m->routed + m->shared < 1)
        return error_set(err, ERROR_FORMAT, "%s: \"mome\" has neither routed nor shared experts",
                         file);
    if (m->routed > 0 && (m->active < 1 || m->active > m->routed))
        return error_set(err, ERROR_FORMAT, "%s: \"mome.active\" is %d, it must be 1 to %d", file,
                         m->active, m->routed);
    return 0;
}

static int check_relations(const struct recognizer_config *c, const char *file, struct error *err)
{
    int rc = 0;
    if (!c->has_audio && !c->has_video)
        return error_set(err, ERROR_FORMAT, "%s: neither \"audio\" nor \"video\"", file);
    if (c->has_audio &&
        ((rc = check_divides(c->audio.heads, c->audio.d, "audio heads, d", file, err)) != 0 ||
         (rc = check_divides(2, c->audio.d, "audio d", file, err)) != 0 ||
         (rc = check_rates(c->projector.audio_rates, c->projector.audio_rate_count, "audio_rates",
                           file, err)) != 0))
        return rc;
    if (c->has_video &&
        ((rc = check_divides(c->video.heads, c->video.d, "video heads, d", file, err)) != 0 ||
         (rc = check_divides(c->video.position_groups, c->video.d, "video position_groups, d", file,
                             err)) != 0 ||
         (rc = check_rates(c->projector.video_rates, c->projector.video_rate_count, "video_rates",
                           file, err)) != 0))
        return rc;
    if ((rc = check_divides(c->llm.kv_heads, c->llm.heads, "llm kv_heads, heads", file, err)) !=
            0 ||
        (rc = check_divides(2, c->llm.head_dim, "llm head_dim", file, err)) != 0)
        return rc;
    if (c->llm.rope_factor > 1 && c->llm.rope_high <= c->llm.rope_low)
        return error_set(err, ERROR_FORMAT, "%s: \"llm.rope_high\" must be above \"rope_low\"",
                         file);
    if (c->lora.inner > 0 && !c->lora.global && !c->lora.per_rate)
        return error_set(err, ERROR_FORMAT,
                         "%s: \"lora\" has to be \"global\", \"per_rate\" or both", file);
    return check_mome(&c->mome, file, err);
}

int config_check(const struct recognizer_config *config, const char *file, struct error *err)
{
    for (int i = 0; i < SECTIONS; i++) {
        const struct section *s = &sections[i];
        if (s->optional && !*(const bool *)place(config, s->present))
            continue;
        for (const struct field *f = s->fields; f->key; f++) {
            int rc = check_field(config, s, f, file, err);
            if (rc != 0)
                return rc;
        }
    }
    return check_relations(config, file, err);
}

/* ---- reading ----------------------------------------------------------------------------- */

struct place_in_file {
    const char *file, *section;
    const struct field *field;
};

static int wrong(const struct place_in_file *p, const char *wanted, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "%s: \"%s.%s\" must be %s", p->file, p->section,
                     p->field->key, wanted);
}

static int read_int(int *out, const json_t *j, const struct place_in_file *p, struct error *err)
{
    if (!json_is_integer(j))
        return wrong(p, "an integer", err);
    json_int_t value = json_integer_value(j);
    if (value < (json_int_t)p->field->least || value > (json_int_t)p->field->most)
        return error_set(err, ERROR_FORMAT, "%s: \"%s.%s\" is %lld, it must be %.10g to %.10g",
                         p->file, p->section, p->field->key, (long long)value, p->field->least,
                         p->field->most);
    *out = (int)value;
    return 0;
}

static int read_ints(struct recognizer_config *config, const json_t *j,
                     const struct place_in_file *p, struct error *err)
{
    const struct field *f = p->field;
    size_t n = json_array_size(j), most = f->count ? (size_t)f->count : CONFIG_MAX_RATES;
    if (!json_is_array(j) || n > most || (f->count && n != most))
        return wrong(p, f->count ? "an array of 4 integers" : "an array of at most 16 integers",
                     err);
    for (size_t i = 0; i < n; i++) {
        int rc = read_int((int *)place(config, f->offset) + i, json_array_get(j, i), p, err);
        if (rc != 0)
            return rc;
    }
    if (!f->count)
        *(int *)place(config, f->count_offset) = (int)n;
    return 0;
}

static int read_text(char *out, const json_t *j, const struct place_in_file *p, struct error *err)
{
    const char *text = json_string_value(j);
    if (!text || strlen(text) >= p->field->most) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "a text of at most %g bytes", p->field->most - 1);
        return wrong(p, wanted, err);
    }
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int read_placement(enum mome_placement *out, const json_t *j, const struct place_in_file *p,
                          struct error *err)
{
    for (int i = 0; json_is_string(j) && i < MOME_PLACEMENTS; i++)
        if (strcmp(json_string_value(j), placements[i]) == 0) {
            *out = (enum mome_placement)i;
            return 0;
        }
    return wrong(p, "\"none\", \"mhsa\", \"ffn\" or \"layer\"", err);
}

static int read_field(struct recognizer_config *config, const json_t *j,
                      const struct place_in_file *p, struct error *err)
{
    void *out = (void *)place(config, p->field->offset);
    switch (p->field->type) {
    case FIELD_INT:
        return read_int(out, j, p, err);
    case FIELD_FLOAT:
        if (!json_is_number(j))
            return wrong(p, "a number", err);
        *(float *)out = (float)json_number_value(j);
        return 0;
    case FIELD_BOOL:
        if (!json_is_boolean(j))
            return wrong(p, "true or false", err);
        *(bool *)out = json_is_true(j);
        return 0;
    case FIELD_TEXT:
        return read_text(out, j, p, err);
    case FIELD_PLACEMENT:
        return read_placement(out, j, p, err);
    case FIELD_INTS:
        return read_ints(config, j, p, err);
    }
    return 0;
}

static int read_section(struct recognizer_config *config, json_t *j, const struct section *s,
                        const char *file, struct error *err)
{
    if (s->optional) {
        *(bool *)place(config, s->present) = !json_is_null(j);
        if (json_is_null(j))
            return 0;
    }
    if (!json_is_object(j))
        return error_set(err, ERROR_FORMAT, "%s: \"%s\" must be an object", file, s->key);
    const char *key;
    json_t *value;
    json_object_foreach(j, key, value)
    {
        const struct field *f = s->fields;
        while (f->key && strcmp(f->key, key) != 0)
            f++;
        if (!f->key)
            return error_set(err, ERROR_FORMAT, "%s: unknown key \"%s.%.100s\"", file, s->key, key);
        struct place_in_file p = {file, s->key, f};
        int rc = read_field(config, value, &p, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int config_from_json(struct recognizer_config *config, const char *text, const char *file,
                     struct error *err)
{
    json_error_t fault;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &fault);
    int rc = 0;
    if (!root)
        return error_set(err, ERROR_FORMAT, "%s:%d: %s", file, fault.line, fault.text);
    config_default(config);
    if (!json_is_object(root))
        rc = error_set(err, ERROR_FORMAT, "%s: must be a JSON object", file);
    const char *key;
    json_t *value;
    if (rc == 0)
        json_object_foreach(root, key, value)
        {
            int i = 0;
            while (i < SECTIONS && strcmp(sections[i].key, key) != 0)
                i++;
            rc = i < SECTIONS
                     ? read_section(config, value, &sections[i], file, err)
                     : error_set(err, ERROR_FORMAT, "%s: unknown key \"%.100s\"", file, key);
            if (rc != 0)
                break;
        }
    json_decref(root);
    return rc != 0 ? rc : config_check(config, file, err);
}

/* ---- writing ----------------------------------------------------------------------------- */

/* The shortest decimal that is the same float again. */
static json_t *float_to_json(float x)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtof(text, NULL) == x)
            break;
    }
    return json_real(strtod(text, NULL));
}

static json_t *field_to_json(const struct recognizer_config *config, const struct field *f)
{
    const void *at = place(config, f->offset);
    switch (f->type) {
    case FIELD_INT:
        return json_integer(*(const int *)at);
    case FIELD_FLOAT:
        return float_to_json(*(const float *)at);
    case FIELD_BOOL:
        return json_boolean(*(const bool *)at);
    case FIELD_TEXT:
        return json_string(at);
    case FIELD_PLACEMENT:
        return json_string(placements[*(const enum mome_placement *)at]);
    case FIELD_INTS:
        break;
    }
    json_t *list = json_array();
    for (int i = 0; i < field_count(config, f); i++)
        json_array_append_new(list, json_integer(((const int *)at)[i]));
    return list;
}

char *config_to_json(const struct recognizer_config *config)
{
    json_t *root = json_object();
    for (int i = 0; i < SECTIONS; i++) {
        const struct section *s = &sections[i];
        bool absent = s->optional && !*(const bool *)place(config, s->present);
        if (absent && s->fields == part_fields)
            continue;
        json_t *section = absent ? json_null() : json_object();
        for (const struct field *f = s->fields; !absent && f->key; f++)
            json_object_set_new(section, f->key, field_to_json(config, f));
        json_object_set_new(root, s->key, section);
    }
    char *text = json_dumps(root, JSON_INDENT(2));
    char *copy = text ? memory_strdup(text) : NULL;
    free(text);
    json_decref(root);
    return copy;
}
