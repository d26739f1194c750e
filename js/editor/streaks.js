// Moving streaks along a field, on a 2D canvas.

import { sampleVelocity } from "./motion_field.js";

/** @import { View } from "./geometry.js" */
/** @import { MotionField } from "./motion_field.js" */
/** @typedef {{ x: number, y: number, age: number }} Particle */

const COUNT = 700;
const LIFE = 45; // frames
const STEPS = 4;
const MIN_MASK = 0.15; // where less moves no streak begins

export class Streaks {
  constructor() {
    this.particles = Array.from({ length: COUNT }, () => ({ x: 0, y: 0, age: LIFE }));
    /** @type {MotionField | null} */
    this.field = null;
    /** @type {number[]} */
    this.movingCells = [];
  }

  /** @param {MotionField} field */
  setField(field) {
    this.field = field;
    this.movingCells = Array.from(field.mask.keys()).filter((cell) => field.mask[cell] > MIN_MASK);
  }

  /**
   * Draw the next frame.
   * @param {CanvasRenderingContext2D} context
   * @param {View} view
   * @param {number} speed of the loop, in field frames per drawn frame
   */
  draw(context, view, speed) {
    const { width, height } = context.canvas;
    context.save();
    context.resetTransform();
    context.globalCompositeOperation = "destination-out";
    context.fillStyle = "rgba(0, 0, 0, 0.14)";
    context.fillRect(0, 0, width, height);
    context.restore();
    if (!this.field || !this.movingCells.length) return;
    const v = [0, 0];
    context.beginPath();
    for (const particle of this.particles) {
      if (particle.age >= LIFE) this.respawn(particle, this.field);
      particle.age += 1;
      context.moveTo(...view.toScreen([particle.x, particle.y]));
      for (let i = 0; i < STEPS; i++) {
        sampleVelocity(this.field, particle.x, particle.y, v);
        particle.x += (v[0] * speed) / STEPS;
        particle.y += (v[1] * speed) / STEPS;
      }
      context.lineTo(...view.toScreen([particle.x, particle.y]));
    }
    context.lineWidth = 1.4;
    context.lineCap = "round";
    context.strokeStyle = "rgba(160, 235, 255, 0.9)";
    context.stroke();
  }

  /**
   * @param {Particle} particle
   * @param {MotionField} field
   */
  respawn(particle, { columns, rows }) {
    const cell = this.movingCells[Math.floor(Math.random() * this.movingCells.length)];
    particle.x = ((cell % columns) + Math.random()) / columns;
    particle.y = (Math.floor(cell / columns) + Math.random()) / rows;
    particle.age = Math.floor(Math.random() * LIFE * 0.7);
  }
}
