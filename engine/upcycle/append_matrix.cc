#include "engine/upcycle/append_matrix.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/files/quoted.h"
#include "engine/quantise/convert_rows.h"

namespace conclave::engine {
namespace {

/// Numbers that are held between two writes.
constexpr int64_t kChunkNumbers = 1 << 21;

Status NotFinite(const TensorView& source, int64_t row) {
  return InvalidArgument("tensor " + Quoted(source.name) + ", row " + std::to_string(row) +
                         ": a weight is not a finite number; the model is broken");
}

/// Decodes rows one by one, a worker each, and remembers the first that is not finite.
class RowReader {
 public:
  explicit RowReader(const TensorView& source)
      : source_(source), row_bytes_(*RowBytes(source.dtype, source.columns())), bad_(source.rows()) {}

  const std::byte* Stored(int64_t row) const { return source_.data + row * row_bytes_; }
  int64_t row_bytes() const { return row_bytes_; }

  void Read(int64_t row, float* out) {
    DequantiseRow(source_.dtype, Stored(row), source_.columns(), out);
    if (std::all_of(out, out + source_.columns(), [](float x) { return std::isfinite(x); })) return;
    int64_t seen = bad_.load();
    while (row < seen && !bad_.compare_exchange_weak(seen, row)) {
    }
  }

  Status status() const { return bad_ == source_.rows() ? Status::Ok() : NotFinite(source_, bad_); }

 private:
  const TensorView& source_;
  const int64_t row_bytes_;
  std::atomic<int64_t> bad_;
};

/// Calls `task(begin, end)` for parts of `rows` rows of `width` numbers.
Status InChunks(int64_t rows, int64_t width, const std::function<Status(int64_t, int64_t)>& task) {
  const int64_t chunk = std::max<int64_t>(1, kChunkNumbers / width);
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    CONCLAVE_RETURN_IF_ERROR(task(begin, std::min(rows, begin + chunk)));
  }
  return Status::Ok();
}

/// The chosen columns of rows [begin, end) as floats.
std::vector<float> GatheredFloats(const TensorView& source, std::span<const int32_t> columns, int64_t begin,
                                  int64_t end, ThreadPool& pool, RowReader& reader) {
  const auto width = static_cast<int64_t>(columns.size());
  std::vector<float> gathered(static_cast<size_t>((end - begin) * width));
  pool.ParallelFor(end - begin, 1, [&](int64_t first, int64_t last) {
    std::vector<float> row(static_cast<size_t>(source.columns()));
    for (int64_t i = first; i < last; ++i) {
      reader.Read(begin + i, row.data());
      for (int64_t j = 0; j < width; ++j) gathered[i * width + j] = row[columns[j]];
    }
  });
  return gathered;
}

/// The bits of floats of any format in the chosen columns of rows [begin, end).
std::vector<std::byte> GatheredBits(const TensorView& source, std::span<const int32_t> columns, int64_t begin,
                                    int64_t end, const RowReader& reader) {
  const int64_t size = InfoOf(source.dtype).block_bytes;
  std::vector<std::byte> gathered(static_cast<size_t>((end - begin) * size) * columns.size());
  std::byte* to = gathered.data();
  for (int64_t row = begin; row < end; ++row) {
    const std::byte* from = reader.Stored(row);
    for (const int32_t column : columns) {
      std::memcpy(to, from + column * size, static_cast<size_t>(size));
      to += size;
    }
  }
  return gathered;
}

/// A matrix in memory.
TensorView FloatView(const TensorView& source, const std::vector<float>& numbers, int64_t width) {
  TensorView view{.name = source.name, .dtype = DType::kF32, .rank = 2};
  view.shape = {static_cast<int64_t>(numbers.size()) / width, width};
  view.data = reinterpret_cast<const std::byte*>(numbers.data());
  view.bytes = static_cast<int64_t>(numbers.size() * sizeof(float));
  return view;
}

}  // namespace

Status AppendRows(const TensorView& source, int64_t rows, const std::function<int64_t(int64_t)>& source_row,
                  ThreadPool& pool, GgufWriter& writer) {
  RowReader reader(source);
  std::vector<std::byte> out;
  return InChunks(rows, source.columns(), [&](int64_t begin, int64_t end) -> Status {
    out.resize(static_cast<size_t>((end - begin) * reader.row_bytes()));
    pool.ParallelFor(end - begin, 1, [&](int64_t first, int64_t last) {
      std::vector<float> row(static_cast<size_t>(source.columns()));
      for (int64_t i = first; i < last; ++i) {
        const int64_t from = source_row(begin + i);
        reader.Read(from, row.data());
        std::copy_n(reader.Stored(from), reader.row_bytes(), out.data() + i * reader.row_bytes());
      }
    });
    CONCLAVE_RETURN_IF_ERROR(reader.status());
    return writer.Append(out);
  });
}

Status AppendColumns(const TensorView& source, std::span<const int32_t> columns, DType target,
                     ThreadPool& pool, GgufWriter& writer) {
  RowReader reader(source);
  const auto width = static_cast<int64_t>(columns.size());
  return InChunks(source.rows(), source.columns(), [&](int64_t begin, int64_t end) -> Status {
    const std::vector<float> floats = GatheredFloats(source, columns, begin, end, pool, reader);
    CONCLAVE_RETURN_IF_ERROR(reader.status());
    if (!IsQuantised(source.dtype)) return writer.Append(GatheredBits(source, columns, begin, end, reader));
    std::vector<std::byte> out(static_cast<size_t>((end - begin) * *RowBytes(target, width)));
    CONCLAVE_RETURN_IF_ERROR(
        ConvertRows(FloatView(source, floats, width), {}, 0, end - begin, target, nullptr, pool, out));
    return writer.Append(out);
  });
}

}  // namespace conclave::engine
