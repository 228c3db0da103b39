"""Draw the README's picture, docs/elulayer.png, and the guide's in docs/pictures.

python -m pip install '.[train,plot]' && PYTHONPATH=tests python docs/make_picture.py
"""

import os
import shutil
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

import elulayer as el
from shared import documents

mpl.use("Agg")
from matplotlib import pyplot as plt


def train():
    data = el.data.load_digits(seed=0)
    layers = el.models.blog_layers((1, 28, 28), 10)
    options = el.TrainingOptions("sgdm", seed=0, verbose=False)
    return data, *el.train_network(data.X_train, data.Y_train, layers, options)


def draw_the_guide_s():
    """Those that its code saves."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        documents.run(documents.DOCS / "define-your-own-layer.md")
        for picture in Path(folder).glob("*.png"):
            shutil.copy(picture, documents.DOCS / "pictures")


def main():
    data, network, info = train()
    alphas = network.layers[3].alpha
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (units, digits, loss) = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")

    x = np.linspace(-4, 2, 601)
    colors = plt.get_cmap("viridis")
    for alpha in np.sort(alphas):
        units.plot(x, el.elu(x, float(alpha)), color=colors(float(alpha / alphas.max())), lw=1)
    units.plot(x, np.maximum(x, 0), "k:", lw=1)
    units.axhline(0, color="0.7", lw=0.5)
    units.axvline(0, color="0.7", lw=0.5)
    units.set_title("elu(x, alpha), learned in 20 channels", fontsize=9)
    units.text(-3.9, 0.06, "ReLU (alpha = 0)", fontsize=7)
    units.set_xlabel("x")

    rows = [data.X_test[data.Y_test == digit][:8, 0] for digit in range(10)]
    sheet = np.concatenate([np.concatenate(list(row), axis=0) for row in rows], axis=1)
    digits.imshow(1 - sheet, cmap="gray", interpolation="nearest")
    digits.set_axis_off()
    digits.set_title("generated digits (test set)", fontsize=9)

    loss.semilogy(info.iteration, info.loss, color="C0", lw=0.6)
    loss.set_xlabel("iteration")
    loss.set_ylabel("mini-batch loss", color="C0")
    accuracy = np.mean(network.classify(data.X_test) == data.Y_test)
    loss.set_title(f"{len(info.loss)} iterations, test accuracy {accuracy:.4f}", fontsize=9)

    figure.savefig(documents.DOCS / "elulayer.png", dpi=110)
    print("alpha after training:", *(f"{alpha:.2f}" for alpha in np.sort(alphas)))


if __name__ == "__main__":
    main()
    draw_the_guide_s()  # in a folder that is then gone
