#include <cstdlib>
#include <string>

#include "engine/kernels/adapter.h"
#include "engine/kernels/avx512_bf16/attention.h"
#include "engine/kernels/cpu_features.h"

namespace conclave::engine {
namespace {

const Kernels& Avx2Kernels() {
  static const Kernels kernels = Adapter<kAvx2Raw>::Make();
  return kernels;
}

const Kernels& Avx512Kernels() {
  static const Kernels kernels = Adapter<kAvx512Raw>::Make();
  return kernels;
}

const Kernels& Avx512BrainKernels() {
  static const Kernels kernels = [] {
    Kernels made = Avx512Kernels();
    made.name = "avx512bf16";
    made.attention = avx512_bf16::Attention;
    return made;
  }();
  return kernels;
}

struct Choice {
  const Kernels* kernels;
  Status status;
};

Choice Choose() {
  const char* wanted = std::getenv("CONCLAVE_KERNELS");
  Result<const Kernels*> found = FindKernels(wanted == nullptr ? "" : wanted);
  if (found.ok()) return {*found, Status::Ok()};
  return {AvailableKernels().back(), found.status().Annotate("CONCLAVE_KERNELS")};
}

const Choice& Chosen() {
  static const Choice choice = Choose();
  return choice;
}

}  // namespace

const Kernels& ReferenceKernels() {
  static const Kernels kernels = Adapter<kReferenceRaw>::Make();
  return kernels;
}

std::vector<const Kernels*> AvailableKernels() {
  static const CpuFeatures features = DetectCpuFeatures();
  std::vector<const Kernels*> sets = {&ReferenceKernels()};
  if (features.avx2) sets.push_back(&Avx2Kernels());
  if (features.avx512) sets.push_back(&Avx512Kernels());
  if (features.avx512_bf16) sets.push_back(&Avx512BrainKernels());
  return sets;
}

Result<const Kernels*> FindKernels(std::string_view wanted) {
  const std::vector<const Kernels*> sets = AvailableKernels();
  if (wanted.empty()) return sets.back();
  for (const Kernels* set : sets) {
    if (set->name == wanted) return set;
  }
  if (wanted == Avx2Kernels().name || wanted == Avx512Kernels().name || wanted == Avx512BrainKernels().name) {
    return FailedPrecondition("this machine cannot run the " + std::string(wanted) +
                              " kernels; the fastest it can are " + std::string(sets.back()->name));
  }
  return InvalidArgument("there are no kernels named '" + std::string(wanted) +
                         "'; use reference, avx2, avx512 or avx512bf16");
}

const Kernels& BestKernels() { return *Chosen().kernels; }

Status KernelChoice() { return Chosen().status; }

}  // namespace conclave::engine
