// Moving streaks along a field, on a 2D canvas.

import { velocityAt } from "./field.js";

const COUNT = 700;
const LIFE = 45; // frames
const STEPS = 4;

export class Streaks {
  constructor() {
    this.parts = Array.from({ length: COUNT }, () => ({ x: 0, y: 0, age: LIFE }));
    this.field = null;
    this.places = [];
  }

  setField(field) {
    this.field = field;
    // Streaks are born only where something moves.
    this.places = [];
    field.mask.forEach((amount, i) => amount > 0.15 && this.places.push(i));
  }

  /** Draw the next frame. speed: of the loop, in field frames per drawn frame. */
  draw(context, view, speed) {
    const { width, height } = context.canvas;
    context.save();
    context.resetTransform();
    context.globalCompositeOperation = "destination-out";
    context.fillStyle = "rgba(0, 0, 0, 0.14)";
    context.fillRect(0, 0, width, height);
    context.restore();
    if (!this.places.length) return;
    const v = [0, 0];
    context.beginPath();
    for (const part of this.parts) {
      if (part.age >= LIFE) this.birth(part);
      part.age += 1;
      context.moveTo(...view.toScreen([part.x, part.y]));
      for (let i = 0; i < STEPS; i++) {
        velocityAt(this.field, part.x, part.y, v);
        part.x += (v[0] * speed) / STEPS;
        part.y += (v[1] * speed) / STEPS;
      }
      context.lineTo(...view.toScreen([part.x, part.y]));
    }
    context.lineWidth = 1.4;
    context.lineCap = "round";
    context.strokeStyle = "rgba(160, 235, 255, 0.9)";
    context.stroke();
  }

  birth(part) {
    const at = this.places[Math.floor(Math.random() * this.places.length)];
    part.x = ((at % this.field.columns) + Math.random()) / this.field.columns;
    part.y = (Math.floor(at / this.field.columns) + Math.random()) / this.field.rows;
    part.age = Math.floor(Math.random() * LIFE * 0.7);
  }
}
