/* Which vector instructions the kernels may use, decided once per process.
 * The environment variable MEDICUS_CPU=portable|avx2|avx512 lowers the choice (tests run every
 * path). */
#pragma once

#include <stdbool.h>

/* AVX2 includes FMA and F16C; AVX512 = F, BW, VL, DQ */
enum med_cpu { MED_CPU_PORTABLE, MED_CPU_AVX2, MED_CPU_AVX512 };
enum med_cpu med_cpu_level(void);
/* Also VBMI (byte permutations across a vector), which not every AVX512 processor has. */
bool med_cpu_has_vbmi(void);
const char *med_cpu_name(enum med_cpu level);
