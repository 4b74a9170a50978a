"""Occlusion in NumPy: the same as the plugin `occlusion` with its defaults, to the last digit that f32 holds."""

import numpy as np

import medfocus


class Occlusion(medfocus.Method):
    """Occlusion sensitivity (Zeiler and Fergus, ECCV 2014): the answer's mean token probability without each cell."""

    name = "py_occlusion"
    cells = medfocus.param(8, "Cells along each side of the working image.", minimum=1, maximum=224)

    def attribute(self, task):
        edges = [cell * 224 // self.cells for cell in range(self.cells + 1)]
        cells = [(slice(*rows), slice(*columns)) for rows in zip(edges, edges[1:]) for columns in zip(edges, edges[1:])]
        images = [task.image]
        for cell in cells:
            hidden = task.image.copy()
            hidden[cell] = 0
            images.append(hidden)
        task.step(0, 1, "images scored")
        probabilities = np.exp(task.model.score(images).astype(np.float64)).mean(axis=1)
        heat = np.zeros((224, 224))
        for cell, probability in zip(cells, probabilities[1:]):
            heat[cell] = max(probabilities[0] - probability, 0.0)
        return medfocus.Attribution(heat=heat / heat.max() if heat.any() else heat)
