#include "isa.h"

#include <cstring>
#include <stdexcept>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fastconv {

// The tables that kernels/<family>.cpp exports for each instruction set.
#define FASTCONV_EXTERN(type, family, isa) extern const type fastconv_##family##_##isa;
#define FASTCONV_DECLARE(isa) FASTCONV_FAMILIES(FASTCONV_EXTERN, isa)
#define FASTCONV_ADDRESS(type, family, isa) &fastconv_##family##_##isa,
#define FASTCONV_KERNELS(isa, bytes)                      \
  Kernels {                                               \
    #isa, bytes, FASTCONV_FAMILIES(FASTCONV_ADDRESS, isa) \
  }

#if defined(__x86_64__)
FASTCONV_DECLARE(baseline)
FASTCONV_DECLARE(avx2)
FASTCONV_DECLARE(avx512)
#elif defined(__aarch64__)
FASTCONV_DECLARE(neon)
#else
FASTCONV_DECLARE(baseline)
#endif

namespace {

#if defined(__x86_64__)
// A register state is usable only if the operating system saves it: XGETBV says which it does.
bool os_saves(uint64_t mask) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return false;
  uint32_t lo, hi;
  asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return ((static_cast<uint64_t>(hi) << 32 | lo) & mask) == mask;
}

bool has_avx2() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  const bool fma = c & (1u << 12), avx = c & (1u << 28);
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  return fma && avx && (b & (1u << 5)) && os_saves(0x6);
}

bool has_avx512() {
  unsigned a, b, c, d;
  if (!has_avx2() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
  return (b & (f | dq | bw | vl)) == (f | dq | bw | vl) && os_saves(0xe6);
}
#endif

struct Choice {
  Kernels kernels;
  bool (*available)();
};

bool always() {
  return true;
}

// Best first. Adding an instruction set: one row here, one line in CMakeLists.txt.
const Choice kChoices[] = {
#if defined(__x86_64__)
    {FASTCONV_KERNELS(avx512, 64), has_avx512},
    {FASTCONV_KERNELS(avx2, 32), has_avx2},
    {FASTCONV_KERNELS(baseline, 16), always},
#elif defined(__aarch64__)
    {FASTCONV_KERNELS(neon, 16), always},
#else
    {FASTCONV_KERNELS(baseline, 16), always},
#endif
};

const Kernels* active = nullptr;

}  // namespace

const Kernels& kernels() {
  return *active;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Choice& c : kChoices) {
    if (c.available()) names.push_back(c.kernels.isa);
  }
  return names;
}

void select_isa(const char* name) {
  for (const Choice& c : kChoices) {
    if (!c.available()) continue;
    if (name == nullptr || *name == 0 || !std::strcmp(name, c.kernels.isa)) {
      active = &c.kernels;
      return;
    }
  }
  std::string choices;
  for (const std::string& isa : available_isas()) choices += (choices.empty() ? "" : ", ") + isa;
  throw std::invalid_argument(std::string("FASTCONV_ISA=") + name +
                              " is not available here; choose one of: " + choices);
}

}  // namespace fastconv
