"""DeepCTR-Torch's DIN as a black box, for `benchmarks/din.py`: samples in, CPU seconds out, one JSON line each.

Runs in an environment of its own (`pip install deepctr-torch`). l2 = 0 and SGD, which is like for like; its defaults
add a penalty over whole tables. Its own `fit` and `predict` are timed, as a user calls them. Dice asserts in release
0.3.0, so its last layers have ReLU, which is cheaper.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time

import numpy as np


def main() -> None:
    answers = sys.stdout
    with contextlib.redirect_stdout(io.StringIO()):
        import torch
        from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat
        from deepctr_torch.models import DIN

        torch.set_num_threads(1)
        torch.manual_seed(0)
        users, items, categories, longest, width = (int(word) for word in sys.argv[1:])
        item = SparseFeat("item", items, embedding_dim=width)
        category = SparseFeat("category", categories, embedding_dim=width)
        columns = [
            SparseFeat("user", users, embedding_dim=width),
            item,
            category,
            VarLenSparseFeat(
                SparseFeat("hist_item", items, embedding_dim=width, embedding_name="item"),
                longest,
                length_name="length",
            ),
            VarLenSparseFeat(
                SparseFeat("hist_category", categories, embedding_dim=width, embedding_name="category"),
                longest,
                length_name="length",
            ),
        ]
        model = DIN(
            columns,
            ["item", "category"],
            dnn_hidden_units=(200, 80),
            att_hidden_size=(80, 40),
            att_activation="sigmoid",
            att_weight_normalization=True,
            l2_reg_dnn=0.0,
            l2_reg_embedding=0.0,
            device="cpu",
        )
        model.compile(torch.optim.SGD(model.parameters(), lr=0.01), "binary_crossentropy")
        answers.write(json.dumps({"torch": torch.__version__}) + "\n")
        answers.flush()
        for line in sys.stdin:
            asked = json.loads(line)
            data = dict(np.load(asked["file"]))
            labels = data.pop("label")
            begun = time.process_time()
            if asked["mode"] == "train":
                model.fit(data, labels, batch_size=asked["batch"], epochs=1, verbose=0, shuffle=False)
            else:
                model.predict(data, batch_size=asked["batch"])
            seconds = time.process_time() - begun
            answers.write(json.dumps({"seconds": seconds, "samples": len(labels)}) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
