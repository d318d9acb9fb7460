/* Prints the sizes of mome.h's public structures, with where their last fields lie: a part of
 * mome.abi. */
#include <mome.h>

#include <stdio.h>

#define SHOW(type, last)                                                                           \
    printf("%s %zu, %s at %zu\n", #type, sizeof(type), #last, offsetof(type, last))

int main(void)
{
    SHOW(mome_alternative, score);
    SHOW(mome_model_options, exact);
    SHOW(mome_result, settled);
    SHOW(mome_stream_options, arg);
    SHOW(mome_word, confidence);
    return 0;
}
