/** Texts of one form that several keys hold. */

export const serverNamePattern = '^([0-9A-Za-z.-]{1,230}|\\[[0-9A-Fa-f:.]{2,45}\\])(:[0-9]{1,5})?$';
