/*
 * transcribe MODEL FILE: what is said in a file, a line for each utterance as soon as it is over.
 *
 *     $ transcribe models/tiny samples/000000.mp4
 *       0.24 -   2.12  lay white in n two please
 */
#include <mome.h>

#include <stdio.h>

static int on_result(void *arg, const mome_result *r)
{
    (void)arg;
    printf("%6.2f - %6.2f  %s\n", r->start, r->end, r->text);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    mome_model *model = NULL;
    mome_stream *stream = NULL;
    mome_stream_options options;
    mome_stream_options_init(&options);
    options.result = on_result;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL FILE\n", argv[0]);
        return 2;
    }
    int rc = mome_model_open(&model, argv[1], NULL);
    rc = rc ? rc : mome_stream_open(&stream, model, &options);
    rc = rc ? rc : mome_stream_file(stream, argv[2]);
    if (rc)
        fprintf(stderr, "%s\n", mome_error());
    mome_stream_close(stream);
    mome_model_close(model);
    return rc != 0;
}
