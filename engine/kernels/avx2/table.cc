#include "engine/kernels/avx2/sets.h"
#include "engine/kernels/avx2/vector.h"
#include "engine/kernels/vector/attention.h"
#include "engine/kernels/vector/elementwise.h"
#include "engine/kernels/vector/float_matmul.h"
#include "engine/kernels/vector/rope.h"

namespace conclave::engine {

const RawKernels kAvx2Raw = {.name = "avx2",
                             .quantise_row = avx2::QuantiseRow,
                             .block_matmul = avx2::MatmulBlocks,
                             .float_matmul = FloatMatmulOf<Avx2>,
                             .rms_norm = RmsNormOf<Avx2>,
                             .rope_halves = RopeHalvesOf<Avx2>,
                             .rope_interleaved = RopeInterleavedOf<Avx2>,
                             .swiglu = SwiGluRow<Avx2>,
                             .swiglu_clamped = SwiGluClampedRow<Avx2>,
                             .exp = ExpRow<Avx2>,
                             .add = AddRow<Avx2>,
                             .to_brain = ToBrainRow<Avx2>,
                             .quantise_head = QuantiseHeadOf<Avx2>,
                             .attention = AttentionOf<Avx2>};

}  // namespace conclave::engine
