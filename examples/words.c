/*
 * words MODEL FILE: each word with its times and how sure the model is of it, tab-separated; words
 * below an even chance are marked.
 *
 *     $ words models/tiny samples/000000.mp4
 *     0.32    0.52    0.99    lay
 */
#include <mome.h>

#include <stdio.h>

static void print_words(const mome_result *r)
{
    for (size_t i = 0; i < r->word_count; i++) {
        const mome_word *w = &r->words[i];
        printf("%.2f\t%.2f\t%.2f\t%s%s\n", w->start, w->end, w->confidence, w->text,
               w->confidence < 0.5 ? " ?" : "");
    }
}

int main(int argc, char **argv)
{
    mome_model *model = NULL;
    mome_stream *stream = NULL;
    const mome_result *r;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL FILE\n", argv[0]);
        return 2;
    }
    int rc = mome_model_open(&model, argv[1], NULL);
    rc = rc ? rc : mome_stream_open(&stream, model, NULL);
    rc = rc ? rc : mome_stream_file(stream, argv[2]);
    while (!rc && (r = mome_stream_next(stream)))
        print_words(r);
    rc = rc ? rc : mome_stream_code(stream);
    if (rc)
        fprintf(stderr, "%s\n", mome_error());
    mome_stream_close(stream);
    mome_model_close(model);
    return rc != 0;
}
