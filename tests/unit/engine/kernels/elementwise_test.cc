#include <bit>
#include <cmath>
#include <limits>

#include "engine/kernels/kernels.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/kernels/closeness.h"
#include "tests/unit/engine/kernels/random_data.h"

namespace conclave::engine {
namespace {

using testing::AllClose;
using testing::RandomFloats;
using testing::Tolerance;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kMost = std::numeric_limits<float>::max();
constexpr double kRounding = 0x1p-24;  // of one float32 operation, relative
constexpr double kSmallest = 0x1p-149;

const std::vector<float> kExtremes = {0.0f,    -0.0f,    1.0f,   -1.0f,    1e-45f,   -1e-45f,   1e-38f,
                                      -1e-38f, kMost,    -kMost, 88.0f,    -88.0f,   104.f,     -104.f,
                                      1000.0f, -1000.0f, 1e-7f,  65504.0f, 65520.0f, kInfinity, kNan};

class ElementwiseTest : public ::testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& kernels_ = *GetParam();
  const Kernels& reference_ = ReferenceKernels();
  std::mt19937 random_{17};
};

/// The distance between two finite floats in representable numbers.
int64_t UlpsApart(float a, float b) {
  const auto ordered = [](float x) {
    const auto bits = std::bit_cast<int32_t>(x);
    return bits < 0 ? static_cast<int64_t>(INT32_MIN) - bits : static_cast<int64_t>(bits);
  };
  return std::abs(ordered(a) - ordered(b));
}

TEST_P(ElementwiseTest, ExpIsWithinTwoUnitsInTheLastPlace) {
  std::vector<float> x;
  // Every 499th float between the ends where the result leaves float32's range.
  for (uint32_t bits = 0; bits < std::bit_cast<uint32_t>(105.0f); bits += 499) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-std::bit_cast<float>(bits));
  }
  std::vector<float> got(x.size());
  kernels_.exp(x.data(), static_cast<int64_t>(x.size()), got.data());
  int64_t worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto wanted = static_cast<float>(std::exp(static_cast<double>(x[i])));
    if (std::isinf(wanted)) {
      ASSERT_EQ(got[i], wanted) << x[i];
    } else {
      ASSERT_TRUE(std::isfinite(got[i])) << x[i];
      worst = std::max(worst, UlpsApart(got[i], wanted));
    }
  }
  EXPECT_LE(worst, 2);
}

TEST_P(ElementwiseTest, ExpOfExtremes) {
  const std::vector<float> x = {kNan, kInfinity, -kInfinity, kMost, -kMost, 0.0f, -0.0f, 89.0f, -110.0f};
  std::vector<float> got(x.size());
  kernels_.exp(x.data(), static_cast<int64_t>(x.size()), got.data());
  EXPECT_TRUE(AllClose(got, {kNan, kInfinity, 0.0f, kInfinity, 0.0f, 1.0f, 1.0f, kInfinity, 0.0f}, {}));
}

TEST_P(ElementwiseTest, RmsNormForAnyLength) {
  for (int64_t n = 1; n <= 70; ++n) {
    for (const float width : {1e-20f, 1.0f, 1e20f, 1e30f}) {
      const std::vector<float> x = RandomFloats(random_, n, width);
      const std::vector<float> weight = RandomFloats(random_, n);
      std::vector<float> wanted(n), got(n);
      reference_.rms_norm(x.data(), weight.data(), 1e-5f, n, wanted.data());
      kernels_.rms_norm(x.data(), weight.data(), 1e-5f, n, got.data());
      // The factor and two products are rounded, once each.
      EXPECT_TRUE(AllClose(got, wanted, {.absolute = kSmallest * 2, .relative = 4 * kRounding}))
          << n << " x " << width;
      std::vector<float> in_place = x;
      kernels_.rms_norm(in_place.data(), weight.data(), 1e-5f, n, in_place.data());
      EXPECT_EQ(in_place, got);
    }
  }
}

TEST_P(ElementwiseTest, RmsNormOfNanIsNanAndOfZeroIsZero) {
  std::vector<float> x(40, 0.0f);
  const std::vector<float> weight(40, 2.0f);
  std::vector<float> out(40);
  kernels_.rms_norm(x.data(), weight.data(), 1e-5f, 40, out.data());
  EXPECT_TRUE(AllClose(out, std::vector<float>(40, 0.0f), {}));
  x[37] = kNan;
  kernels_.rms_norm(x.data(), weight.data(), 1e-5f, 40, out.data());
  EXPECT_TRUE(AllClose(out, std::vector<float>(40, kNan), {}));
}

TEST_P(ElementwiseTest, RopeForBothLayoutsAndAnyWidth) {
  for (const RopeLayout layout : {RopeLayout::kInterleaved, RopeLayout::kHalves}) {
    for (int64_t half = 1; half <= 40; ++half) {
      const int64_t head_dim = 2 * half + half % 3;
      const std::vector<float> x = RandomFloats(random_, 3 * head_dim);
      const std::vector<float> angles = RandomFloats(random_, half, 3.0f);
      std::vector<float> cos_sin(2 * half);
      for (int64_t i = 0; i < half; ++i) {
        cos_sin[i] = std::cos(angles[i]);
        cos_sin[half + i] = std::sin(angles[i]);
      }
      std::vector<float> wanted = x, got = x;
      reference_.rope(wanted.data(), 3, head_dim, 2 * half, layout, cos_sin.data());
      kernels_.rope(got.data(), 3, head_dim, 2 * half, layout, cos_sin.data());
      // Two roundings of terms no larger than the pair, which may cancel.
      EXPECT_TRUE(AllClose(got, wanted, {.absolute = 2 * kRounding * 8})) << half;
    }
  }
}

TEST_P(ElementwiseTest, RopeTurnsAQuarter) {
  const std::vector<float> quarter = {0.0f, 0.0f, 1.0f, 1.0f};
  std::vector<float> x = {1.0f, 2.0f, 3.0f, 4.0f, 9.0f};
  kernels_.rope(x.data(), 1, 5, 4, RopeLayout::kHalves, quarter.data());
  EXPECT_EQ(x, (std::vector<float>{-3.0f, -4.0f, 1.0f, 2.0f, 9.0f}));
  x = {1.0f, 2.0f, 3.0f, 4.0f, 9.0f};
  kernels_.rope(x.data(), 1, 5, 4, RopeLayout::kInterleaved, quarter.data());
  EXPECT_EQ(x, (std::vector<float>{-2.0f, 1.0f, -4.0f, 3.0f, 9.0f}));
}

TEST_P(ElementwiseTest, SwiGluForAnyLengthAndExtremes) {
  for (int64_t n = 1; n <= 70; ++n) {
    for (const float width : {1e-3f, 1.0f, 30.0f, 1e10f}) {
      const std::vector<float> gate = RandomFloats(random_, n, width);
      const std::vector<float> up = RandomFloats(random_, n);
      std::vector<float> wanted(n), got(n);
      reference_.swiglu(gate.data(), up.data(), n, wanted.data());
      kernels_.swiglu(gate.data(), up.data(), n, got.data());
      // Two units of e^x, then a sum, a quotient and a product; e^88 overflows where the true value is below
      // 2^-120.
      EXPECT_TRUE(AllClose(got, wanted, {.absolute = 0x1p-118 * 4, .relative = 8 * kRounding}))
          << n << " x " << width;
    }
  }
  for (const float up : {1.0f, -2.0f, 0.0f}) {
    const std::vector<float> ups(kExtremes.size(), up);
    const auto n = static_cast<int64_t>(kExtremes.size());
    std::vector<float> wanted(kExtremes.size()), got(kExtremes.size());
    reference_.swiglu(kExtremes.data(), ups.data(), n, wanted.data());
    kernels_.swiglu(kExtremes.data(), ups.data(), n, got.data());
    EXPECT_TRUE(AllClose(got, wanted, {.absolute = 0x1p-118 * 4, .relative = 8 * kRounding}));
  }
}

TEST_P(ElementwiseTest, ClampedSwiGluForAnyLengthAndExtremes) {
  const auto check = [&](const std::vector<float>& gate, const std::vector<float>& up, float alpha,
                         float limit) {
    const auto n = static_cast<int64_t>(gate.size());
    std::vector<float> wanted(gate.size()), got(gate.size());
    reference_.swiglu_clamped(gate.data(), up.data(), alpha, limit, n, wanted.data());
    kernels_.swiglu_clamped(gate.data(), up.data(), alpha, limit, n, got.data());
    // As SwiGLU; the exponent is rounded once more, which moves e^x by itself times that, x being 88 at most.
    EXPECT_TRUE(AllClose(got, wanted, {.absolute = 0x1p-100, .relative = 100 * kRounding}))
        << n << " up to " << limit;
  };
  for (int64_t n = 1; n <= 70; ++n) {
    for (const float width : {1e-3f, 1.0f, 30.0f}) {
      const std::vector<float> gate = RandomFloats(random_, n, width);
      check(gate, RandomFloats(random_, n, width), 1.702f, 7.0f);
      check(gate, RandomFloats(random_, n, width), 1.0f, 0.5f);
    }
  }
  for (const float other : {1.0f, -20.0f, kNan}) {
    check(kExtremes, std::vector<float>(kExtremes.size(), other), 1.702f, 7.0f);
    check(std::vector<float>(kExtremes.size(), other), kExtremes, 1.702f, 7.0f);
  }
}

TEST_P(ElementwiseTest, ClampedSwiGluByHand) {
  const std::vector<float> gate = {0.0f, 100.0f, 100.0f, -1e4f, 2.0f};
  const std::vector<float> up = {5.0f, 3.0f, -100.0f, 1.0f, -1.0f};
  std::vector<float> got(gate.size());
  kernels_.swiglu_clamped(gate.data(), up.data(), 1.702f, 7.0f, 5, got.data());
  const double most = 7.0 / (1.0 + std::exp(-7.0 * 1.702));
  EXPECT_TRUE(AllClose(got,
                       {0.0f, static_cast<float>(4.0 * most), static_cast<float>(-6.0 * most), 0.0f, 0.0f},
                       {.absolute = 1e-30, .relative = 1e-6}));
}

TEST_P(ElementwiseTest, AddIsExact) {
  for (int64_t n = 1; n <= 70; ++n) {
    const std::vector<float> x = RandomFloats(random_, n);
    const std::vector<float> y = RandomFloats(random_, n);
    std::vector<float> wanted = x, got = x;
    reference_.add(wanted.data(), y.data(), n);
    kernels_.add(got.data(), y.data(), n);
    EXPECT_EQ(got, wanted);
  }
  std::vector<float> got = {kNan, kInfinity, kInfinity, kMost};
  const std::vector<float> y = {1.0f, 1.0f, -kInfinity, kMost};
  kernels_.add(got.data(), y.data(), 4);
  EXPECT_TRUE(AllClose(got, {kNan, kInfinity, kNan, kInfinity}, {}));
}

TEST_P(ElementwiseTest, ToBrainGivesTheReferencesBits) {
  std::vector<float> x = kExtremes;
  // Every 4099th pattern of 32 bits: NaNs, infinities, subnormals and ties of both formats among them.
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 4099)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  // And all ties.
  for (uint32_t brain = 0; brain <= UINT16_MAX; ++brain)
    x.push_back(std::bit_cast<float>(brain << 16 | 0x8000));
  const auto n = static_cast<int64_t>(x.size());
  std::vector<uint16_t> wanted(x.size()), got(x.size());
  reference_.to_brain(x.data(), n, wanted.data());
  kernels_.to_brain(x.data(), n, got.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(got[i], wanted[i]) << x[i];
}

TEST_P(ElementwiseTest, OddTailsWriteNothingElse) {
  for (int64_t n = 0; n <= 33; ++n) {
    const std::vector<float> x = RandomFloats(random_, 40);
    std::vector<float> out(40, -7.0f);
    kernels_.exp(x.data(), n, out.data());
    std::vector<uint16_t> brains(40, 7);
    kernels_.to_brain(x.data(), n, brains.data());
    for (int64_t i = n; i < 40; ++i) {
      EXPECT_EQ(out[i], -7.0f);
      EXPECT_EQ(brains[i], 7);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, ElementwiseTest, ::testing::ValuesIn(AvailableKernels()),
                         [](const auto& info) { return std::string(info.param->name); });

}  // namespace
}  // namespace conclave::engine
