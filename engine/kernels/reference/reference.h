#pragma once

#include "engine/kernels/raw_kernels.h"

// The plain functions that specify the tuned ones; see Kernels for their contracts.
namespace conclave::engine::reference {

void QuantiseRow(const engine::QuantiseRow& row);
void MatmulBlocks(const BlockMatmul& task);
void MatmulFloats(const FloatMatmul& task);
void RmsNorm(const float* x, const float* weight, float epsilon, int64_t n, float* out);
void RopeHalves(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin);
void RopeInterleaved(float* x, int64_t heads, int64_t head_dim, int64_t dims, const float* cos_sin);
void SwiGlu(const float* gate, const float* up, int64_t n, float* out);
void SwiGluClamped(const float* gate, const float* up, float alpha, float limit, int64_t n, float* out);
void Exp(const float* x, int64_t n, float* out);
void Add(float* x, const float* y, int64_t n);
void ToBrain(const float* x, int64_t n, uint16_t* out);
float QuantiseHead(const float* x, int64_t n, int8_t* q);
void Attention(const AttentionTask& task);
/// Over KvFormat::kInt8.
void Int8Attention(const AttentionTask& task);

}  // namespace conclave::engine::reference
