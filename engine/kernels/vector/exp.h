#pragma once

namespace conclave::engine {

/// e^x, at most 2 units in the last place off; NaN for NaN, infinity above 88.73, 0 below -103.98.
/// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by its Taylor series, whose remainder is below 2^-27.
/// With kBrain the series ends sooner, and the result is off by at most 2^-14 of itself: enough where it is
/// rounded to bfloat16 at once.
template <typename V, bool kBrain = false>
inline typename V::Floats ExpOf(typename V::Floats x) {
  using Floats = typename V::Floats;
  // Beyond these the result is 0 or infinity already. The order of arguments lets NaN pass.
  x = V::Max(V::Set(-105.0f), V::Min(V::Set(90.0f), x));
  const Floats n = V::Round(V::Mul(x, V::Set(0x1.715476p+0f)));
  // ln 2 as a sum: the product of its first part (9 bits) and n is exact.
  Floats r = V::NegatedFma(n, V::Set(0x1.62p-1f), x);
  r = V::NegatedFma(n, V::Set(0x1.c85fdep-10f), r);
  Floats p = V::Set(1.0f / 24.0f);
  if constexpr (!kBrain) {
    p = V::Set(1.0f / 5040.0f);
    p = V::Fma(p, r, V::Set(1.0f / 720.0f));
    p = V::Fma(p, r, V::Set(1.0f / 120.0f));
    p = V::Fma(p, r, V::Set(1.0f / 24.0f));
  }
  p = V::Fma(p, r, V::Set(1.0f / 6.0f));
  p = V::Fma(p, r, V::Set(0.5f));
  p = V::Fma(p, r, V::Set(1.0f));
  p = V::Fma(p, r, V::Set(1.0f));
  return V::Scale(p, n);
}

/// 2^x for x <= 0, off by at most 2^-13 of itself: enough where it is rounded to 8 bits. 1 for 0, 0 for minus
/// infinity, NaN for NaN. x = n + r with 0 <= r <= 1, and 2^r by the polynomial of third degree that is exact
/// at both ends and whose largest relative error is least.
template <typename V>
inline typename V::Floats Exp2Of(typename V::Floats x) {
  const typename V::Floats n = V::Floor(x);
  // A sum by multiplication: additions share their unit with the two functions that are not arithmetic.
  const typename V::Floats r = V::Fma(n, V::Set(-1.0f), x);
  typename V::Floats p = V::Set(0x1.42a0aep-4f);
  p = V::Fma(p, r, V::Set(0x1.ce18eep-3f));
  p = V::Fma(p, r, V::Set(0x1.6425aep-1f));
  p = V::Fma(p, r, V::Set(1.0f));
  return V::ScaleDown(p, n);
}

}  // namespace conclave::engine
