/* A file of weights, whatever its format: what it says of itself, what it holds, what it is. */
#include "cli/inspect.h"
#include "models/part.h"
#include "text/text_json.h"
#include "weights/weights.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_SHOWN = 120 };

/* Of one number type: how many tensors, numbers and bytes. */
struct share {
    int64_t tensors, parameters, bytes;
};

static void add_up(struct share by_type[DTYPE_OTHER + 1], struct share *all,
                   const struct weights *w)
{
    for (int i = 0; i < weights_count(w); i++) {
        const struct stored_tensor *t = weights_at(w, i);
        struct share *s = &by_type[t->dtype];
        s->tensors++;
        s->parameters += t->count;
        s->bytes += t->bytes;
    }
    for (int type = 0; type <= DTYPE_OTHER; type++) {
        all->tensors += by_type[type].tensors;
        all->parameters += type == DTYPE_OTHER ? 0 : by_type[type].parameters;
        all->bytes += by_type[type].bytes;
    }
}

/* The parts of a model that it can be, told one after the other: description and licence. */
static void each_part(const char *path,
                      void (*tell)(void *arg, enum part_kind, const struct part *), void *arg)
{
    for (int kind = 0; kind < PART_KINDS; kind++) {
        struct error err;
        struct part *p;
        if (part_open(&p, (enum part_kind)kind, path, &err))
            continue;
        tell(arg, (enum part_kind)kind, p);
        part_close(p);
    }
}

/* ---- as text ------------------------------------------------------------------------------- */

static void print_part(void *arg, enum part_kind kind, const struct part *p)
{
    printf("recognised as  %s: %s\n", part_kind_name(kind), part_description(p));
    if (part_licence(p))
        printf("               %s\n", part_licence(p));
    ++*(int *)arg;
}

/* On one line, however long it is and whatever is in it. */
static void print_text(const char *text)
{
    int n = 0;
    for (; text[n] && n < TEXT_SHOWN; n++)
        putchar((unsigned char)text[n] < ' ' || text[n] == 127 ? ' ' : text[n]);
    if (text[n])
        printf("...");
}

static void print_metadata(const struct weights *w)
{
    for (int i = 0; i < weights_key_count(w); i++) {
        const char *key = weights_key_at(w, i), *text = weights_text(w, key);
        const struct weights_array *array = weights_array(w, key);
        double number;
        printf("    %-40s ", key);
        if (text)
            print_text(text);
        else if (weights_number(w, key, &number))
            printf("%g", number);
        else if (array)
            printf("%lld %s", (long long)weights_array_count(array),
                   weights_array_is_text(array) ? "texts" : "numbers");
        printf("\n");
    }
}

static void print_weights(const struct weights *w, const char *path, bool tensors)
{
    struct share by_type[DTYPE_OTHER + 1] = {0}, all = {0};
    int parts = 0;
    add_up(by_type, &all, w);
    printf("%s: %s, %lld tensors, %lld parameters, %.1f MB\n", path,
           weights_format_name(weights_format(w)), (long long)all.tensors,
           (long long)all.parameters, (double)all.bytes / 1e6);
    each_part(path, print_part, &parts);
    if (!parts)
        printf("recognised as  no part of a model that this program knows\n");
    for (int type = 0; type <= DTYPE_OTHER; type++)
        if (by_type[type].tensors)
            printf("%-14s %6lld tensors %12lld parameters %9.1f MB\n", dtype_name((enum dtype)type),
                   (long long)by_type[type].tensors, (long long)by_type[type].parameters,
                   (double)by_type[type].bytes / 1e6);
    if (weights_key_count(w))
        printf("the file says\n");
    print_metadata(w);
    if (!tensors)
        return;
    printf("tensors\n");
    for (int i = 0; i < weights_count(w); i++) {
        const struct stored_tensor *t = weights_at(w, i);
        inspect_print_tensor(t->name, t->dtype, t->dims, t->shape);
    }
}

/* ---- as JSON ------------------------------------------------------------------------------- */

static void add_part(void *arg, enum part_kind kind, const struct part *p)
{
    json_array_append_new(arg,
                          json_pack("{s:s, s:s, s:s?}", "part", part_kind_name(kind), "description",
                                    part_description(p), "licence", part_licence(p)));
}

static json_t *metadata_json(const struct weights *w)
{
    json_t *keys = json_object();
    for (int i = 0; i < weights_key_count(w); i++) {
        const char *key = weights_key_at(w, i), *text = weights_text(w, key);
        const struct weights_array *array = weights_array(w, key);
        double number;
        json_t *value = text                              ? text_json(text)
                        : weights_number(w, key, &number) ? json_real(number)
                        : array
                            ? json_pack("{s:I}", "count", (json_int_t)weights_array_count(array))
                            : json_null();
        json_object_set_new(keys, key, value);
    }
    return keys;
}

static int print_json(const struct weights *w, const char *path)
{
    struct share by_type[DTYPE_OTHER + 1] = {0}, all = {0};
    json_t *types = json_object(), *parts = json_array(), *tensors = json_array();
    add_up(by_type, &all, w);
    for (int type = 0; type <= DTYPE_OTHER; type++)
        if (by_type[type].tensors)
            json_object_set_new(types, dtype_name((enum dtype)type),
                                json_pack("{s:I, s:I, s:I}", "tensors",
                                          (json_int_t)by_type[type].tensors, "parameters",
                                          (json_int_t)by_type[type].parameters, "bytes",
                                          (json_int_t)by_type[type].bytes));
    each_part(path, add_part, parts);
    for (int i = 0; i < weights_count(w); i++) {
        const struct stored_tensor *t = weights_at(w, i);
        json_array_append_new(tensors,
                              inspect_tensor_json(t->name, t->dtype, t->dims, t->shape, t->bytes));
    }
    json_t *root =
        json_pack("{s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o}", "path", text_json(path), "format",
                  weights_format_name(weights_format(w)), "parameters", (json_int_t)all.parameters,
                  "bytes", (json_int_t)all.bytes, "recognised", parts, "types", types, "metadata",
                  metadata_json(w), "tensors", tensors);
    int rc = root ? json_dumpf(root, stdout, JSON_INDENT(1)) : -1;
    putchar('\n');
    json_decref(root);
    return rc;
}

int inspect_weights(const char *path, const struct inspect_options *options, struct error *err)
{
    struct weights *w;
    int rc = weights_open(&w, path, err);
    if (rc)
        return rc;
    if (!options->json)
        print_weights(w, path, options->tensors);
    else if (print_json(w, path))
        rc = error_set(err, ERROR_IO, "%s: cannot be told as JSON", path);
    weights_close(w);
    return rc;
}
