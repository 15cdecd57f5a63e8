#include "engine/kernels/reference/reference.h"

namespace conclave::engine {

const RawKernels kReferenceRaw = {.name = "reference",
                                  .quantise_row = reference::QuantiseRow,
                                  .block_matmul = reference::MatmulBlocks,
                                  .float_matmul = reference::MatmulFloats,
                                  .rms_norm = reference::RmsNorm,
                                  .rope_halves = reference::RopeHalves,
                                  .rope_interleaved = reference::RopeInterleaved,
                                  .swiglu = reference::SwiGlu,
                                  .swiglu_clamped = reference::SwiGluClamped,
                                  .exp = reference::Exp,
                                  .add = reference::Add,
                                  .to_brain = reference::ToBrain,
                                  .quantise_head = reference::QuantiseHead,
                                  .attention = reference::Attention};

}  // namespace conclave::engine
