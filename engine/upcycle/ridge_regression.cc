#include "engine/upcycle/ridge_regression.h"

#include <algorithm>
#include <cmath>

#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/model/load_weights.h"
#include "engine/tensor/transpose.h"

namespace conclave::engine {
namespace {

/// Rows whose products are added up in float32 before they meet the others in double.
constexpr int64_t kRows = 256;

/// A = L L^T of a symmetric positive definite A [n, n], whose lower half becomes L. False: it is not.
bool Cholesky(std::vector<double>& a, int64_t n, ThreadPool& pool) {
  for (int64_t j = 0; j < n; ++j) {
    const double* pivot = a.data() + j * n;
    double diagonal = pivot[j];
    for (int64_t k = 0; k < j; ++k) diagonal -= pivot[k] * pivot[k];
    if (!(diagonal > 0.0) || !std::isfinite(diagonal)) return false;
    const double root = std::sqrt(diagonal);
    a[j * n + j] = root;
    pool.ParallelFor(n - j - 1, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = j + 1 + begin; i < j + 1 + end; ++i) {
        double* row = a.data() + i * n;
        double sum = row[j];
        for (int64_t k = 0; k < j; ++k) sum -= row[k] * pivot[k];
        row[j] = sum / root;
      }
    });
  }
  return true;
}

/// L L^T x = b, in place.
void Substitute(const std::vector<double>& l, int64_t n, double* x) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < i; ++k) x[i] -= l[i * n + k] * x[k];
    x[i] /= l[i * n + i];
  }
  for (int64_t i = n - 1; i >= 0; --i) {
    x[i] /= l[i * n + i];
    for (int64_t k = 0; k < i; ++k) x[k] -= l[i * n + k] * x[i];
  }
}

/// The mean over rows of y_i * x_j: [targets, inputs], for y [rows, targets] and x [rows, inputs].
Result<std::vector<double>> MeanProducts(std::span<const float> y, int64_t targets, std::span<const float> x,
                                         int64_t inputs, ThreadPool& pool) {
  const Kernels& kernels = BestKernels();
  const int64_t rows = static_cast<int64_t>(x.size()) / inputs;
  std::vector<double> sums(static_cast<size_t>(targets * inputs));
  std::vector<float> part(sums.size());
  for (int64_t begin = 0; begin < rows; begin += kRows) {
    const int64_t count = std::min(kRows, rows - begin);
    const std::vector<float> own = Transposed(y.data() + begin * targets, count, targets);
    CONCLAVE_ASSIGN_OR_RETURN(const PackedMatrix packed,
                              PackNumbers(Transposed(x.data() + begin * inputs, count, inputs), count));
    pool.ParallelFor(inputs, kRowGroup, [&](int64_t first, int64_t last) {
      kernels.matmul(packed, first, last, own.data(), count, nullptr, targets, part.data(), inputs);
    });
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(part[i]);
  }
  for (double& sum : sums) sum /= static_cast<double>(rows);
  return sums;
}

}  // namespace

Result<RidgeRegression> RidgeRegression::Create(std::span<const float> x, int64_t inputs, double strength,
                                                ThreadPool& pool) {
  if (x.empty()) return FailedPrecondition("a regression without rows");
  CONCLAVE_ASSIGN_OR_RETURN(std::vector<double> products, MeanProducts(x, inputs, x, inputs, pool));
  double mean_square = 0.0;
  for (int64_t i = 0; i < inputs; ++i) mean_square += products[i * inputs + i] / static_cast<double>(inputs);
  if (!std::isfinite(mean_square)) return InvalidArgument("activations are not finite: the model is broken");
  for (int64_t i = 0; i < inputs; ++i) products[i * inputs + i] += strength * mean_square;
  if (!Cholesky(products, inputs, pool)) {
    return FailedPrecondition(
        "the inputs of a feed-forward layer are all zero, or nothing restrains the fit");
  }
  return RidgeRegression(x, inputs, std::move(products));
}

Result<std::vector<float>> RidgeRegression::Fit(std::span<const float> y, int64_t targets,
                                                ThreadPool& pool) const {
  CONCLAVE_ASSIGN_OR_RETURN(std::vector<double> solved, MeanProducts(y, targets, x_, inputs_, pool));
  pool.ParallelFor(targets, 1, [&](int64_t begin, int64_t end) {
    for (int64_t target = begin; target < end; ++target) {
      Substitute(factor_, inputs_, solved.data() + target * inputs_);
    }
  });
  std::vector<float> out(solved.begin(), solved.end());
  for (const float weight : out) {
    if (!std::isfinite(weight)) return InvalidArgument("activations are not finite: the model is broken");
  }
  return out;
}

}  // namespace conclave::engine
