"""The ATen operations that PopTorch 3.4 has and that models here may use.

From docs/user_guide/supported_ops.rst and the handlers of poptorch/source/popart_canonicalization of graphcore/poptorch
at sdk-release-3.4, in ATen's names; `_to_copy` is a cast (Tensor.to). Not the whole list: an operation that
a model comes to need is looked up there and added here.
"""

from __future__ import annotations

_LISTED = """
arange full full_like ones ones_like zeros zeros_like new_zeros new_ones empty
cat stack split split_with_sizes chunk select slice gather index_select unbind where
reshape view _unsafe_view _reshape_alias expand permute transpose t squeeze unsqueeze clone detach alias
_to_copy fill_ zero_ copy_
add add_ rsub sub sub_ mul mul_ div div_ neg abs exp log log1p pow sqrt rsqrt square reciprocal sigmoid tanh
clamp clamp_min clamp_max maximum minimum eq ne lt le gt ge logical_and logical_or logical_not bitwise_not
sum mean var var_mean amax amin max min argmax argmin cumsum
mm addmm bmm baddbmm matmul linear
relu softmax _softmax log_softmax _log_softmax softplus log_sigmoid log_sigmoid_forward
embedding native_layer_norm native_batch_norm dropout bernoulli bernoulli_
binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss nll_loss_forward
"""
SUPPORTED = {"aten::" + name for name in _LISTED.split()}
