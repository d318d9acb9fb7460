/* models/voice/model.safetensors, as a part of the program. */
#include "features/voice_model.h"

__asm__(".section .rodata\n"
        ".balign 64\n"
        ".globl voice_model\n"
        ".hidden voice_model\n"
        "voice_model: .incbin \"" VOICE_MODEL "\"\n"
        ".globl voice_model_end\n"
        ".hidden voice_model_end\n"
        "voice_model_end: .byte 0\n"
        ".previous\n");
