// A dialog over the whole window that an element moves into, and back.

export class EnlargedDialog {
  /**
   * @param {HTMLElement} home where the element belongs
   * @param {HTMLElement} element
   * @param {() => void} onClose Escape was pressed in the dialog
   */
  constructor(home, element, onClose) {
    this.home = home;
    this.element = element;
    this.dialog = document.createElement("dialog");
    this.dialog.className = "t2c-dialog";
    this.host = document.createElement("div");
    this.host.className = "t2c-host";
    this.dialog.append(this.host);
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      onClose();
    });
  }

  /** @param {boolean} open */
  toggle(open) {
    if (open) {
      document.body.append(this.dialog);
      this.host.append(this.element);
      this.dialog.showModal();
    } else {
      this.home.append(this.element);
      this.dialog.close();
      this.dialog.remove();
    }
  }

  release() {
    this.dialog.remove();
  }
}
