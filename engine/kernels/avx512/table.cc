#include "engine/kernels/avx512/sets.h"
#include "engine/kernels/avx512/vector.h"
#include "engine/kernels/vector/attention.h"
#include "engine/kernels/vector/elementwise.h"
#include "engine/kernels/vector/float_matmul.h"
#include "engine/kernels/vector/rope.h"

namespace conclave::engine {

const RawKernels kAvx512Raw = {.name = "avx512",
                               .quantise_row = avx512::QuantiseRow,
                               .block_matmul = avx512::MatmulBlocks,
                               .float_matmul = FloatMatmulOf<Avx512>,
                               .rms_norm = RmsNormOf<Avx512>,
                               .rope_halves = RopeHalvesOf<Avx512>,
                               .rope_interleaved = RopeInterleavedOf<Avx512>,
                               .swiglu = SwiGluRow<Avx512>,
                               .swiglu_clamped = SwiGluClampedRow<Avx512>,
                               .exp = ExpRow<Avx512>,
                               .add = AddRow<Avx512>,
                               .to_brain = ToBrainRow<Avx512>,
                               .quantise_head = QuantiseHeadOf<Avx512>,
                               .attention = AttentionOf<Avx512>};

}  // namespace conclave::engine
