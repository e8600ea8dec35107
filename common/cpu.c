#include "common/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static enum med_cpu level;

static enum med_cpu detect(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    /* Not every compiler knows the name "f16c" here. That the system saves the registers is part of
     * "avx2". */
    unsigned eax, ebx, ecx, edx;
    bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !f16c) {
        return MED_CPU_PORTABLE;
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        return MED_CPU_AVX512;
    }
    return MED_CPU_AVX2;
#else
    return MED_CPU_PORTABLE;
#endif
}

static void decide(void)
{
    level = detect();
    const char *wanted = getenv("MEDICUS_CPU");
    for (int below = MED_CPU_PORTABLE; wanted && below < (int)level; below++) {
        if (strcmp(wanted, med_cpu_name((enum med_cpu)below)) == 0) level = (enum med_cpu)below;
    }
}

enum med_cpu med_cpu_level(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, decide);
    return level;
}

bool med_cpu_has_vbmi(void)
{
#if defined(__x86_64__)
    return med_cpu_level() >= MED_CPU_AVX512 && __builtin_cpu_supports("avx512vbmi");
#else
    return false;
#endif
}

const char *med_cpu_name(enum med_cpu which)
{
    switch (which) {
    case MED_CPU_PORTABLE: return "portable";
    case MED_CPU_AVX2: return "avx2";
    case MED_CPU_AVX512: return "avx512";
    }
    return "unknown";
}
